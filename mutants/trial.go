package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Bounds of a run of go test: of all tests of a package on the code as it is, and of
// a mutant's few, which it may make hang.
const (
	saneTimeout = 5 * time.Minute
	testTimeout = 45 * time.Second
)

// laboratory runs tests of the module at root.
type laboratory struct {
	root string
	temp string // for what is laid over the module
}

// verdict is what became of a mutant.
type verdict struct {
	mutant mutant
	by     string // the test that failed; empty for a mutant that survived
	took   time.Duration
	err    error  // it could not be tried
	output string // of go test, when there is something to look at
}

// killed says that a test failed, as it shall.
func (v verdict) killed() bool { return v.err == nil && v.by != "" }

// try runs the mutant's tests until one fails.
func (l laboratory) try(ctx context.Context, m mutant) verdict {
	began := time.Now()
	v := verdict{mutant: m}
	overlay, err := l.overlay(m)
	if err != nil {
		v.err = err
		return v
	}
	for _, t := range m.tests {
		var out outcome
		if out, v.err = l.test(ctx, t, testTimeout, "-overlay="+overlay); v.err != nil {
			v.err = fmt.Errorf("mutant %s: %w", m.name, v.err)
			break
		}
		v.output += out.text
		if v.by = out.failed; v.by != "" {
			break
		}
	}
	v.took = time.Since(began)
	return v
}

// overlay writes the changed files and returns the file that go test takes.
func (l laboratory) overlay(m mutant) (string, error) {
	changed, err := m.apply(l.root)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(l.temp, m.name)
	var over struct {
		Replace map[string]string `json:"Replace"`
	}
	over.Replace = make(map[string]string, len(changed))
	for file, text := range changed {
		to := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return "", fmt.Errorf("mutant %s: %w", m.name, err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return "", fmt.Errorf("mutant %s: %w", m.name, err)
		}
		over.Replace[filepath.Join(l.root, filepath.FromSlash(file))] = to
	}
	list, err := json.Marshal(over)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, list, 0o600)
}

// outcome is what a run of go test showed.
type outcome struct {
	failed string // the first test that failed, empty for none
	text   string
}

// test runs tests once. Its error says that no test ran: nothing was shown.
func (l laboratory) test(ctx context.Context, t tests, timeout time.Duration, flags ...string) (outcome, error) {
	args := append([]string{"test", "-count=1", "-vet=off", "-timeout=" + timeout.String()}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-run="+t.pattern(), t.pkg)...) //nolint:gosec // names of the catalogue
	cmd.Dir = l.root
	out, err := cmd.CombinedOutput()
	o := outcome{text: string(out)}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return o, context.Cause(ctx)
	case err != nil && !errors.As(err, &exit):
		return o, err
	case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
		return o, fmt.Errorf("%s does not compile:\n%s", t.pkg, out)
	case bytes.Contains(out, []byte("[no tests to run]")):
		return o, fmt.Errorf("%s has no test that matches %s", t.pkg, t.pattern())
	case err == nil:
		return o, nil
	}
	o.failed = firstFailure(o.text)
	return o, nil
}

// firstFailure names the test that failed, in what go test printed.
func firstFailure(text string) string {
	hung := strings.Contains(text, "panic: test timed out")
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: ")
		if ok && !hung {
			name, _, _ = strings.Cut(name, " ")
			return name
		}
		// "	TestName (1m30s)", below "running tests:".
		if name = strings.TrimSpace(line); hung && strings.HasPrefix(name, "Test") {
			name, _, _ = strings.Cut(name, " ")
			return name + " (hangs)"
		}
	}
	return "the package" // a panic, or goroutines that were left behind
}
