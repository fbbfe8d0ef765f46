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

func TestAllThatWasAcceptedIsRecoveredAndEnds(t *testing.T) {
	r := rigtest.Result[result](t, func(out io.Writer) error {
		return run(t.Context(), []string{"--jobs", "100", "--clients", "8", "--session-timeout", "4s"}, out)
	})
	if r.Jobs != 100 || r.Recovered != 100 || r.Ended != 100 {
		t.Errorf("got %+v, want 100 jobs, all recovered and FINISHED", r)
	}
	if r.Accepted <= 0 || r.Ready <= 0 || r.Recovery <= 0 || r.Floor <= 0 || r.Threads <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	if err := run(t.Context(), []string{"--jobs", "0"}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "at least 1") {
		t.Errorf("--jobs 0 ends with %v, want that one is needed", err)
	}
}

func TestMeasurementsAreReadFromTheirText(t *testing.T) {
	f, err := parse(strings.NewReader("# HELP x y\ngo_goroutines 7\ngo_memstats_heap_alloc_bytes 1.5e+06\n" +
		"go_memstats_stack_inuse_bytes 500000\ncoordd_takeover_seconds{phase=\"a\"} 0.25\ncoordd_takeover_seconds{phase=\"b\"} 0.5\n"))
	if want := (figures{memory: 2e6, goroutines: 7, takeover: 0.75}); err != nil || f != want {
		t.Errorf("read %+v, %v; want %+v", f, err, want)
	}
}
