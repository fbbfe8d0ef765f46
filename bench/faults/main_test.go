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

// TestMain is also the leader that is struck.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "--victim") {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestTheLastLineIsTheResult(t *testing.T) {
	r := rigtest.Result[result](t, func(out io.Writer) error {
		return run(t.Context(), []string{"--rounds", "1", "--fault", "delete"}, strings.NewReader(""), out)
	})
	if len(r.Faults) != 1 {
		t.Fatalf("got %+v, want one fault", r)
	}
	if c := r.Faults[0]; c.Fault != "delete" || c.Rounds != 1 || c.Kept != 0 || c.Ended <= 0 || c.Led <= 0 {
		t.Errorf("got %+v, want a round of delete that leadership did not survive, and figures above zero", c)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for args, want := range map[string]string{"--rounds 0": "at least one round", "--fault flood --rounds 1": "none of resign, kill"} {
		err := run(t.Context(), strings.Fields(args), strings.NewReader(""), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %s: got %v, want an error that says %q", args, err, want)
		}
	}
}
