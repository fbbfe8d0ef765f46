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
		return run(t.Context(), []string{"--servers", "1", "--rounds", "1", "--jobs", "20", "--transitions", "3"}, out)
	})
	if r.Transitions != 60 || r.PerSecond <= 0 || r.FloorPerSecond <= 0 || r.Ratio <= 0 || r.AtOncePerSecond <= 0 || r.P50 <= 0 || r.P99 < r.P50 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}

func TestRefusesNoJobs(t *testing.T) {
	err := run(t.Context(), []string{"--jobs", "0"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "--jobs 0") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}
