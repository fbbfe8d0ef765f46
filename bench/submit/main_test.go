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
		return run(t.Context(), []string{"--servers", "1", "--rounds", "1", "--submissions", "40", "--clients", "8"}, out)
	})
	if r.Submissions != 40 || r.PerSecond <= 0 || r.FloorPerSecond <= 0 || r.Ratio <= 0 || r.P99 < r.P50 || r.P50 <= 0 ||
		r.Bytes <= 0 || r.OneCreateP50 <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}

func TestRefusesFewerSubmissionsThanClients(t *testing.T) {
	err := run(t.Context(), []string{"--clients", "8", "--submissions", "7"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "--submissions 7") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}
