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
		return run(t.Context(), []string{
			"--servers", "1", "--rounds", "1", "--workers", "2", "--slots", "8", "--subtasks", "200", "--jobs", "5", "--each", "20",
		}, out)
	})
	for _, s := range []*shape{r.OneJob, r.ManyJobs} {
		if s == nil || s.PerSecond <= 0 || s.FloorPerSecond <= 0 || s.Ratio < r.Ratio {
			t.Errorf("got %+v of %+v, want figures above zero, the lower ones in front", s, r)
		}
	}
	if r.PerSecond <= 0 || r.Ratio <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}

func TestRefusesNoWorkers(t *testing.T) {
	err := run(t.Context(), []string{"--workers", "0"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "--workers 0") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}
