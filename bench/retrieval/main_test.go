package main

import (
	"io"
	"testing"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/bench/internal/rig/rigtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheLastLineIsTheResult(t *testing.T) {
	r := rigtest.Result[result](t, func(out io.Writer) error {
		return run(t.Context(), []string{"--rounds", "3", "--listeners", "100"}, out)
	})
	if r.Listeners != 100 || r.P50 <= 0 || r.P99 < r.P50 || r.FloorP50 <= 0 || r.Ratio <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}
