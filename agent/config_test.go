package agent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/agent"
)

func TestValidateNamesFlagValueAndRemedy(t *testing.T) {
	tests := []struct {
		name string
		cfg  agent.Config
		want string
	}{
		{"nothing", agent.Config{}, "--zookeeper: is missing; give HOST:PORT,... of an ensemble, or use --dev"},
		{"both", agent.Config{Dev: true, ZooKeeper: []string{"a:1"}}, "--dev: cannot be combined with --zookeeper"},
		{"server without port", agent.Config{ZooKeeper: []string{"a:1", "b"}}, `--zookeeper a:1,b: "b" is not HOST:PORT`},
		{"two chroots", agent.Config{ZooKeeper: []string{"a:1/x", "b:1/y"}}, "the chroot stands once, behind the last server"},
		{"id", agent.Config{Dev: true, ID: "a/b"}, `--id "a/b": use 1 to 128 letters`},
		{"cluster", agent.Config{Dev: true, ClusterID: ".."}, `--cluster-id "..": use`},
		{"root", agent.Config{Dev: true, Root: "coordd"}, `--root "coordd": is not a path such as /coordd`},
		{"http", agent.Config{Dev: true, HTTP: "7420"}, "--http 7420: is not HOST:PORT"},
		{"port", agent.Config{Dev: true, HTTP: "127.0.0.1:99999"}, "--http 127.0.0.1:99999: is not HOST:PORT"},
		{"open http", agent.Config{Dev: true, HTTP: "0.0.0.0:7420"}, "jobs are commands"},
		{"open http by name", agent.Config{Dev: true, HTTP: ":7420"}, "add --insecure-bind"},
		{"open rpc", agent.Config{Dev: true, RPC: "10.0.0.1:7421"}, "--rpc 10.0.0.1:7421: is open to other machines"},
		{"slots", agent.Config{Dev: true, Slots: -1}, "--slots -1: cannot be negative"},
		{"time-out", agent.Config{Dev: true, SessionTimeout: time.Millisecond}, "--session-timeout 1ms: is too short; use 500ms or more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.cfg.Validate()
			invalid, ok := errors.AsType[*agent.InvalidError](err)
			if !ok || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error is %v, want one line with %q", err, test.want)
			}
			if got := invalid.Text("COORDD_X"); !strings.HasPrefix(got, "COORDD_X") {
				t.Errorf("Text is %q, want the other name first", got)
			}
			if _, err := agent.New(test.cfg); err == nil {
				t.Error("New accepted it")
			}
		})
	}
}

func TestValidateAccepts(t *testing.T) {
	for _, cfg := range []agent.Config{
		{Dev: true},
		{ZooKeeper: []string{"127.0.0.1:2181", "[::1]:2181", "zk.example:2181"}, ID: "node-1", HTTP: "localhost:0", RPC: "[::1]:7421"},
		{ZooKeeper: []string{"a:2181", "b:2181/tenants/blue"}},
		{Dev: true, HTTP: ":7420", RPC: "0.0.0.0:7421", InsecureBind: true},
	} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("Validate of %+v: %v", cfg, err)
		}
	}
}
