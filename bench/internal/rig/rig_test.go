package rig

import (
	"context"
	"flag"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPercentilesAreMeasuredValues(t *testing.T) {
	var times Times
	for i := 100; i >= 1; i-- {
		times = append(times, time.Duration(i)*time.Millisecond)
	}
	for percent, want := range map[float64]float64{0: 1, 50: 50, 99: 99, 100: 100} {
		if got := times.At(percent); got != want {
			t.Errorf("percentile %v is %v ms, want %v", percent, got, want)
		}
	}
	if got := Times(nil).At(50); got != 0 {
		t.Errorf("percentile of nothing is %v, want 0", got)
	}
}

func TestMedianIgnoresWhatIsFarOff(t *testing.T) {
	if got := Median([]float64{10, 9, 400, 10, 11}); got != 10 {
		t.Errorf("median is %v, want 10", got)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--rounds 0", "at least one round"},
		{"--servers 2", "start 1 or 3"},
		{"--zookeeper host:port:x", "host:port:x"},
	} {
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		o := Flags(fs, 1, time.Second)
		if err := fs.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		err := o.Run(t.Context(), func(context.Context, Ensemble) error { return nil })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %s: got %v, want an error that says %q", c.args, err, c.want)
		}
	}
}
