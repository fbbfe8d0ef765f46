package main

import (
	"bytes"
	"io"
	"testing"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/bench/internal/rig/rigtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheLastLineIsTheResult(t *testing.T) {
	r := rigtest.Result[result](t, func(out io.Writer) error {
		return run(t.Context(), []string{"--rounds", "1", "--jobs", "300", "--delayed", "50"}, out)
	})
	if r.Jobs != 300 || r.Ours <= 0 || r.Floor <= 0 || r.OneByOne <= 0 || r.Ratio <= 0 || r.Share <= 0 || len(r.Steps) == 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
	if r.Delayed == nil || r.Delayed.Jobs != 50 || r.Delayed.Gain <= 0 {
		t.Errorf("behind the proxy: %+v, want figures above zero", r.Delayed)
	}
}

func TestNumbersThatCannotBeAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--jobs", "0"}, {"--delayed", "-1"}, {"--reads", "-1"}} {
		if err := run(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v was not refused", args)
		}
	}
}
