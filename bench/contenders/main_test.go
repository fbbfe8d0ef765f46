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
		return run(t.Context(), []string{"--rounds", "3", "--contenders", "2,10"}, out)
	})
	if len(r.Operations) != 2 || r.Operations["2"] <= 0 || r.Operations["10"] <= 0 || r.Floor <= 0 || r.Growth <= 0 || r.Ratio <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}

func TestRefusesContendersThatCannotHandOver(t *testing.T) {
	for _, list := range []string{"", "1", "10,x"} {
		if sizes, err := parse(list); err == nil {
			t.Errorf("--contenders %q gave %v, want an error", list, sizes)
		}
	}
}
