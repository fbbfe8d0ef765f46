package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// composeService is what the tests read of a service of docker-compose.yml.
type composeService struct {
	Image       string            `yaml:"image"`
	Command     []string          `yaml:"command"`
	Ports       []string          `yaml:"ports"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Healthcheck struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
}

func composeServices(t *testing.T) map[string]composeService {
	t.Helper()
	var file struct {
		Services map[string]composeService `yaml:"services"`
		Volumes  map[string]any            `yaml:"volumes"`
	}
	if err := yaml.Unmarshal(repositoryFile(t, "docker-compose.yml"), &file); err != nil {
		t.Fatal(err)
	}
	for name, s := range file.Services {
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if _, there := file.Volumes[source]; !there {
				t.Errorf("%s: the volume %s is not declared", name, source)
			}
		}
	}
	return file.Services
}

func repositoryFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// parsed returns the command that a command line names, with its flags set, as coordd
// itself would have them. It runs nothing.
func parsed(t *testing.T, line []string) *cobra.Command {
	t.Helper()
	a := &app{
		streams: streams{in: strings.NewReader(""), out: new(bytes.Buffer), err: new(bytes.Buffer)},
		env:     &environment{lookup: func(string) (string, bool) { return "", false }, used: make(map[string]string)},
	}
	root := a.root()
	target, _, err := root.Find(line)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	ran := false
	target.RunE = func(*cobra.Command, []string) error { ran = true; return nil }
	root.SetArgs(line)
	if err := root.ExecuteContext(context.Background()); err != nil || !ran {
		t.Fatalf("%q is not accepted: %v", line, err)
	}
	return target
}

func flagOf(t *testing.T, cmd *cobra.Command, name string) string {
	t.Helper()
	f := cmd.Flags().Lookup(name)
	if f == nil || !f.Changed {
		t.Fatalf("%s is not given --%s", cmd.CommandPath(), name)
	}
	return strings.Trim(f.Value.String(), "[]")
}

func TestComposeFileHasCommandLinesThatCoorddAccepts(t *testing.T) {
	services := composeServices(t)
	var ensemble []string
	for name := range services {
		if strings.HasPrefix(name, "zk") {
			ensemble = append(ensemble, name+":2181")
		}
	}
	slices.Sort(ensemble)
	kinds := make(map[string]int)
	for _, name := range slices.Sorted(maps.Keys(services)) {
		s := services[name]
		if s.Image != "coordd" {
			continue
		}
		cmd := parsed(t, s.Command)
		kinds[cmd.Name()]++
		if got := flagOf(t, cmd, "zookeeper"); got != strings.Join(ensemble, ",") {
			t.Errorf("%s: --zookeeper %s, want all of %v", name, got, ensemble)
		}
		for _, flag := range []string{"id", "advertise"} {
			if got := flagOf(t, cmd, flag); got != name {
				t.Errorf("%s: --%s %s, want the name of the service, under which others find it", name, flag, got)
			}
		}
		if probe := s.Healthcheck.Test; len(probe) > 0 {
			if !slices.Equal(probe[:2], []string{"CMD", "coordd"}) {
				t.Errorf("%s is checked by %q, want coordd", name, probe)
			}
			parsed(t, probe[2:])
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") || !strings.HasSuffix(port, ":7420") {
				t.Errorf("%s publishes %s, want HTTP only, on loopback", name, port)
			}
		}
	}
	if kinds["agent"] != 3 || kinds["worker"] != 2 || len(kinds) != 2 {
		t.Errorf("the file runs %v, want 3 agents and 2 workers", kinds)
	}
}

func TestComposeFileHasAnEnsembleOfThree(t *testing.T) {
	ids := make(map[string]string)
	for name, s := range composeServices(t) {
		if !strings.HasPrefix(name, "zk") {
			continue
		}
		if !regexp.MustCompile(`^zookeeper:\d+\.\d+\.\d+$`).MatchString(s.Image) {
			t.Errorf("%s: the image %s is not pinned", name, s.Image)
		}
		id := s.Environment["ZOO_MY_ID"]
		if !strings.Contains(s.Environment["ZOO_SERVERS"], "server."+id+"="+name+":2888:3888;2181") {
			t.Errorf("%s has the number %q, which ZOO_SERVERS %q does not give it", name, id, s.Environment["ZOO_SERVERS"])
		}
		ids[id] = name
		if len(s.Volumes) != 2 || len(s.Healthcheck.Test) == 0 {
			t.Errorf("%s has volumes %v and the check %v, want data and log in volumes, and a check", name, s.Volumes, s.Healthcheck.Test)
		}
	}
	if len(ids) != 3 {
		t.Errorf("the servers are %v, want three", ids)
	}
}

func TestImageIsBuiltWithTheGoOfTheModule(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(repositoryFile(t, "go.mod"))
	if version == nil {
		t.Fatal("go.mod names no version of Go")
	}
	if want := "FROM golang:" + string(version[1]) + "-"; !bytes.Contains(repositoryFile(t, "Dockerfile"), []byte(want)) {
		t.Errorf("the Dockerfile has no %q", want)
	}
}
