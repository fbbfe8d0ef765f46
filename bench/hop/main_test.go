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
		return run(t.Context(), []string{"--servers", "1", "--rounds", "2", "--tasks", "10"}, out)
	})
	if r.Hops != 18 || r.P50 <= 0 || r.P99 < r.P50 || r.FloorP50 <= 0 || r.Ratio <= 0 || r.P99Ratio < r.Ratio {
		t.Errorf("got %+v, want figures above zero of 18 hops", r)
	}
}

func TestRefusesAChainOfOne(t *testing.T) {
	err := run(t.Context(), []string{"--tasks", "1"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "--tasks 1") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}
