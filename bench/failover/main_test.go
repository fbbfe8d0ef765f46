package main

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/bench/internal/rig/rigtest"
)

// TestMain is also the leader that the benchmark kills.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "--victim") {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestTheLastLineIsTheResult(t *testing.T) {
	r := rigtest.Result[result](t, func(out io.Writer) error {
		return run(t.Context(), []string{"--servers", "1", "--rounds", "1", "--subtasks", "20"}, strings.NewReader(""), out)
	})
	if r.Rounds != 1 || r.Running != 20 || r.P50 <= 0 || r.FloorP50 <= 0 || r.Ratio <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}

func TestRefusesNoSubtasks(t *testing.T) {
	err := run(t.Context(), []string{"--subtasks", "0"}, strings.NewReader(""), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "--subtasks 0") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}
