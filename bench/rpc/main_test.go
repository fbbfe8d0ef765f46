package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/bench/internal/rig/rigtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheLastLineIsTheResult(t *testing.T) {
	r := rigtest.Result[result](t, func(out io.Writer) error {
		return run(t.Context(), []string{"--rounds", "1", "--round", "20ms", "--callers", "4"}, out)
	})
	if len(r.Loopback) != 2 || r.Loopback[1].Callers != 4 {
		t.Fatalf("got %+v, want a part for 1 caller and one for 4", r)
	}
	for _, p := range r.Loopback {
		if p.PerSecond <= 0 || p.FloorPerSecond <= 0 || p.Ratio <= 0 {
			t.Errorf("got %+v, want figures above zero", p)
		}
	}
	for _, l := range []local{r.Local, r.Gateway} {
		if l.Micros <= 0 || l.FloorMicros <= 0 || l.Ratio <= 0 {
			t.Errorf("got %+v, want figures above zero", l)
		}
	}
}

func TestRefusesNoCallers(t *testing.T) {
	err := run(t.Context(), []string{"--callers", "0"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "--callers 0") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}
