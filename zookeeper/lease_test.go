package zookeeper

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLeaseCountsFromWhatTheEnsembleHasSurelyCounted(t *testing.T) {
	const timeout = 8 * time.Second // half a tick is at most 2 s, the margin 160 ms
	start := time.Unix(1_000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	beat := func(sent, answered float64) Beat { return Beat{Sent: at(sent), Answered: at(answered)} }
	l := NewLease(timeout, 0)
	if !l.Deadline().IsZero() {
		t.Fatalf("deadline before the first renewal is %v, want none", l.Deadline())
	}
	for _, c := range []struct {
		what    string
		renewal Beat
		pulse   Pulse
		anchor  float64
	}{
		{"the ping half a tick before", beat(10, 10.1), Pulse{Connected: at(0), Pings: []Beat{beat(5, 5.1), beat(7.8, 8), beat(9, 9.1)}}, 7.8},
		{"no later one yet", beat(10.5, 10.6), Pulse{Connected: at(0), Pings: []Beat{beat(9, 9.1)}}, 7.8},
		{"a renewal that is old enough", beat(12.1, 12.2), Pulse{Connected: at(0), Pings: []Beat{beat(9, 9.1)}}, 10},
		{"a reconnect at once", beat(12.6, 12.7), Pulse{Connected: at(12.5)}, 12.5},
		{"nothing from before the reconnect", beat(14.7, 14.8), Pulse{Connected: at(12.5)}, 12.6},
		{"never less than before", beat(14.8, 14.9), Pulse{Connected: at(1)}, 12.6},
	} {
		l.Renewed(c.renewal, c.pulse)
		if got, want := l.Deadline(), at(c.anchor).Add(timeout-160*time.Millisecond); !got.Equal(want) {
			t.Errorf("%s: deadline %v after the start, want %v", c.what, got.Sub(start), want.Sub(start))
		}
	}
}

// follower is the server's side of a session on a follower that tells the ensemble's
// leader every half tick who was active.
type follower struct {
	phase, half time.Duration // lists go out at phase, phase+half, ...
	active      []time.Time   // when requests arrived
}

// expiry returns the earliest end of the session if the follower was cut off at the
// given time.
func (f follower) expiry(connected, cut time.Time, timeout time.Duration) time.Time {
	counted := connected
	for list := connected.Add(f.phase); !list.After(cut); list = list.Add(f.half) {
		for _, a := range f.active {
			if a.After(list.Add(-f.half)) && !a.After(list) {
				counted = list
			}
		}
	}
	return counted.Add(timeout)
}

// Whatever a session does and whenever its follower is cut off after it passed the
// newest acknowledged renewal on, the deadline lies before the session's end.
func TestLeaseEndsBeforeTheSessionCan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timeout := time.Duration(rapid.IntRange(400, 40_000).Draw(t, "timeout ms")) * time.Millisecond
		tick := time.Duration(rapid.Int64Range(int64(timeout)/20, int64(timeout)/2).Draw(t, "tick"))
		f := follower{half: tick / 2, phase: time.Duration(rapid.Int64Range(0, int64(tick)/2).Draw(t, "phase"))}
		l := NewLease(timeout, 0)
		connected := time.Unix(1_000, 0)
		now, p := connected, Pulse{Connected: connected}
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.Int64Range(1, int64(timeout)*5/12).Draw(t, "gap")))
			b := Beat{Sent: now, Answered: now.Add(time.Duration(rapid.Int64Range(0, int64(timeout)/4).Draw(t, "trip")))}
			arrived := b.Sent.Add(time.Duration(rapid.Int64Range(0, int64(b.Answered.Sub(b.Sent))).Draw(t, "arrived")))
			f.active = append(f.active, arrived)
			if rapid.Bool().Draw(t, "ping") {
				p.Pings = append(p.Pings, b)
			} else {
				l.Renewed(b, p)
				if end := f.expiry(connected, arrived, timeout); !l.Deadline().Before(end) {
					t.Fatalf("deadline %v after the session's earliest end", l.Deadline().Sub(end))
				}
			}
			now = b.Answered
		}
	})
}
