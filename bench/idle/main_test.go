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
		return run(t.Context(), []string{"--rounds", "3", "--session-timeout", "1s", "--contenders", "3", "--listeners", "100"}, out)
	})
	if r.Contender.Ours.Heap <= 0 || r.Contender.Ours.Goroutines <= 0 || r.Contender.Ratio <= 0 ||
		r.Listener.Ours.Goroutines <= 0 || r.Operations.Ours <= 0 || r.Operations.Ratio <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}
