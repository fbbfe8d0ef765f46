package main

import (
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
		return run(t.Context(), []string{"--rounds", "2"}, strings.NewReader(""), out)
	})
	if r.Rounds != 2 || r.P50 <= 0 || r.FloorP50 <= 0 || r.Ratio <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}
