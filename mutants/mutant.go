package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

//go:embed catalogue/*.txtar
var catalogue embed.FS

// mutant is one deliberate fault.
type mutant struct {
	name   string
	reason string // why it is wrong, in one line
	edits  []edit
	tests  []tests
}

// edit replaces lines of one file.
type edit struct {
	file     string // relative to the module
	old, new []byte
}

// tests are those of one package of which one must fail.
type tests struct {
	pkg   string // as go test takes it
	names []string
}

// pattern is what go test's -run takes.
func (t tests) pattern() string { return "^(" + strings.Join(t.names, "|") + ")$" }

// mutants returns those of the catalogue whose names match, in the order of names.
func mutants(match *regexp.Regexp) ([]mutant, error) {
	files, err := catalogue.ReadDir("catalogue")
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, f := range files {
		data, err := catalogue.ReadFile(path.Join("catalogue", f.Name()))
		if err != nil {
			return nil, err
		}
		m, err := parse(strings.TrimSuffix(f.Name(), ".txtar"), data)
		if err != nil {
			return nil, err
		}
		if match.MatchString(m.name) {
			all = append(all, m)
		}
	}
	return all, nil
}

// parse reads a file of the catalogue.
func parse(name string, data []byte) (mutant, error) {
	archive := txtar.Parse(data)
	m := mutant{name: name}
	var reason []string
	for line := range strings.Lines(string(archive.Comment)) {
		words := strings.Fields(line)
		switch {
		case len(words) > 2 && words[0] == "test":
			m.tests = append(m.tests, tests{pkg: words[1], names: words[2:]})
		default:
			reason = append(reason, words...)
		}
	}
	m.reason = strings.Join(reason, " ")
	if m.reason == "" || len(m.tests) == 0 {
		return m, fmt.Errorf("mutant %s: it needs a reason and a line \"test PACKAGE NAME...\"", name)
	}
	if len(archive.Files) == 0 || len(archive.Files)%2 != 0 {
		return m, fmt.Errorf("mutant %s: it needs pairs of \"-- FILE old --\" and \"-- FILE new --\"", name)
	}
	for i := 0; i < len(archive.Files); i += 2 {
		before, after := archive.Files[i], archive.Files[i+1]
		file, ok := strings.CutSuffix(before.Name, " old")
		if !ok || after.Name != file+" new" {
			return m, fmt.Errorf("mutant %s: %q and %q are no pair of \"FILE old\" and \"FILE new\"", name, before.Name, after.Name)
		}
		if len(before.Data) == 0 || bytes.Equal(before.Data, after.Data) {
			return m, fmt.Errorf("mutant %s: the old lines of %s are empty, or the same as the new ones", name, file)
		}
		m.edits = append(m.edits, edit{file: file, old: before.Data, new: after.Data})
	}
	return m, nil
}

// errStale: the code has changed under a mutant.
var errStale = errors.New("carry the mutant along with the code that it breaks")

// apply returns the changed files of the module at root, by their paths relative to
// it. It changes none.
func (m mutant) apply(root string) (map[string][]byte, error) {
	changed := make(map[string][]byte)
	for _, e := range m.edits {
		text, begun := changed[e.file]
		if !begun {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, e.file)); err != nil {
				return nil, fmt.Errorf("mutant %s: %w: %w", m.name, err, errStale)
			}
		}
		if n := bytes.Count(text, e.old); n != 1 {
			return nil, fmt.Errorf("mutant %s: its old lines stand %d times in %s, want once: %w", m.name, n, e.file, errStale)
		}
		changed[e.file] = bytes.Replace(text, e.old, e.new, 1)
	}
	return changed, nil
}
