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
	if !l.Deadline().IsZero() || l.Newest() != (Beat{}) {
		t.Fatalf("before the first renewal the deadline is %v and the newest %v, want none", l.Deadline(), l.Newest())
	}
	for _, c := range []struct {
		what    string
		renewal Beat
		pulse   Pulse
		anchor  float64
	}{
		{"the ping half a tick before", beat(10, 10.1), Pulse{Connected: at(0), Pings: []Beat{beat(5, 5.1), beat(7.7, 7.8), beat(9, 9.1)}}, 7.7},
		{"not one within the margin", beat(10.2, 10.3), Pulse{Connected: at(0), Pings: []Beat{beat(8, 8.1)}}, 7.7},
		{"no later one yet", beat(10.5, 10.6), Pulse{Connected: at(0), Pings: []Beat{beat(9, 9.1)}}, 7.7},
		{"not what one renewal alone shows", beat(12.3, 12.4), Pulse{Connected: at(0), Pings: []Beat{beat(9.3, 9.4)}}, 7.7},
		{"a renewal that is old enough", beat(12.4, 12.5), Pulse{Connected: at(0)}, 10},
		{"a reconnect at once", beat(12.6, 12.7), Pulse{Connected: at(12.5)}, 12.5},
		{"a connect alone", beat(16, 16.1), Pulse{Connected: at(12.8), Pings: []Beat{beat(13, 13.1)}}, 12.8},
		{"a ping between them", beat(16.1, 16.2), Pulse{Connected: at(12.8), Pings: []Beat{beat(13, 13.1)}}, 13},
		{"never less than before", beat(16.3, 16.4), Pulse{Connected: at(1)}, 13},
	} {
		l.Renewed(c.renewal, c.pulse)
		if got, want := l.Deadline(), at(c.anchor).Add(timeout-160*time.Millisecond); !got.Equal(want) {
			t.Errorf("%s: deadline %v after the start, want %v", c.what, got.Sub(start), want.Sub(start))
		}
		if l.Newest() != c.renewal {
			t.Errorf("%s: the newest renewal is %v, want %v", c.what, l.Newest(), c.renewal)
		}
	}
}

// The example of the package comment. A rule of thumb that fails it shows that the
// example tells something.
func TestLeaseOfTheExampleEndsBeforeTheSessionCan(t *testing.T) {
	const timeout, half, gap, trip = 10 * time.Second, 2500 * time.Millisecond, 2300 * time.Millisecond, 2300 * time.Millisecond
	connected := time.Unix(1_000, 0)
	start := connected.Add(20 * gap) // arrives just before a list
	f := follower{half: half, phase: (20*gap + 1) % half, active: []time.Time{start, start.Add(half + 2), start.Add(2 * gap)}}
	for sent := connected; sent.Before(start); sent = sent.Add(gap) {
		f.active = append(f.active, sent)
	}
	end := f.expiry(connected, start.Add(2*gap), timeout)
	if left := end.Sub(start.Add(timeout)); left < 0 || left > time.Millisecond {
		t.Fatalf("the session can end %v after the request of 0.0 s, want T", end.Sub(start))
	}
	l := NewLease(timeout, 2*half)
	var newest Beat
	for sent := connected; !sent.After(start.Add(2 * gap)); sent = sent.Add(gap) {
		newest = Beat{Sent: sent, Answered: sent.Add(trip)}
		l.Renewed(newest, Pulse{Connected: connected})
	}
	if got, want := l.Deadline().Sub(start), 7500*time.Millisecond; got != want {
		t.Errorf("the deadline is at %v, want %v as the package comment says", got, want)
	}
	const margin = timeout / 50
	for _, thumb := range []struct {
		rule string
		left time.Duration
	}{
		{"t + T", timeout},
		{"t + T - half a tick", timeout - half},
		{"t + T - half a tick - T/8 - margin", timeout - half - timeout/8 - margin},
	} {
		if deadline := newest.Sent.Add(thumb.left); deadline.Before(end) {
			t.Errorf("%s = %v ends before the session can, at %v: the example shows nothing of it",
				thumb.rule, deadline.Sub(start), end.Sub(start))
		}
	}
}

// follower is the server's side of a session on a follower that tells the ensemble's
// leader every half tick who was active.
type follower struct {
	phase, half time.Duration // lists go out at phase, phase+half, ...
	late        time.Duration // every other list by this much
	active      []time.Time   // when requests arrived
}

// expiry returns the earliest end of the session if the follower was cut off at the
// given time.
func (f follower) expiry(connected, cut time.Time, timeout time.Duration) time.Time {
	counted, before := connected, time.Time{}
	for n := 0; ; n++ {
		list := connected.Add(f.phase + time.Duration(n)*f.half)
		if n%2 == 1 {
			list = list.Add(f.late)
		}
		if list.After(cut) {
			break
		}
		for _, a := range f.active {
			if a.After(before) && !a.After(list) {
				counted = list
			}
		}
		before = list
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
		if rapid.Bool().Draw(t, "tick known") {
			l = NewLease(timeout, tick)
			f.late = min(f.half, time.Duration(rapid.Int64Range(0, int64(timeout)/50).Draw(t, "late"))) // within the margin
		}
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

// A contender waits and its process is frozen for 6 s: between the newest request that
// was counted and the first renewal lies what no measured gap tells of. A rule that
// subtracts gaps and round trips fails it.
func TestLeaseOfATermThatFollowsAFreezeEndsBeforeTheSessionCan(t *testing.T) {
	const timeout, half = 10 * time.Second, 2500 * time.Millisecond
	connected := time.Unix(1_000, 0)
	ping := connected.Add(time.Minute)
	f := follower{half: half, phase: time.Minute % half, active: []time.Time{connected, ping}}
	first := Beat{Sent: ping.Add(6 * time.Second), Answered: ping.Add(6001 * time.Millisecond)}
	end := f.expiry(connected, first.Answered, timeout)

	l := NewLease(timeout, 0)
	l.Renewed(first, Pulse{Connected: connected, Pings: []Beat{{Sent: ping, Answered: ping.Add(time.Millisecond)}}})
	if !l.Deadline().Before(end) {
		t.Errorf("the deadline is %v after the session's earliest end", l.Deadline().Sub(end))
	}
	gaps := first.Sent.Add(timeout - 2*(timeout/8) - first.Answered.Sub(first.Sent) - timeout/4 - timeout/50)
	if gaps.Before(end) {
		t.Errorf("t + T - 2 x max(T/8, gap) - trip - T/4 - margin is %v before the session's end: the freeze shows nothing", end.Sub(gaps))
	}
}
