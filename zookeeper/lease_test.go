package zookeeper

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLeaseDeadlineCountsFromTheSendTime(t *testing.T) {
	const timeout = 8 * time.Second
	start := time.Unix(1_000, 0)
	l := NewLease(timeout, 0)
	if !l.Deadline().IsZero() {
		t.Fatalf("deadline before the first renewal is %v, want none", l.Deadline())
	}
	l.Renewed(start, start.Add(100*time.Millisecond))
	// 8 s - 2·1 s - 0.1 s - 2 s - 0.16 s after the send time.
	if got, want := l.Deadline().Sub(start), 3740*time.Millisecond; got != want {
		t.Errorf("deadline is %v after the send time, want %v", got, want)
	}
}

// The ensemble's leader learns of a session's activity through the follower that
// the client uses, which reports it every half tick. When a renewal sent at s was
// acknowledged, the last activity that was surely reported is the renewal before
// it, or lies half a tick before s, whichever is earlier; the leader ends the
// session T after that report at the earliest. Before the first renewal the client
// was silent for as long as a connection may be.
func TestLeaseEndsBeforeTheEarliestExpiry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timeout := time.Duration(rapid.IntRange(400, 40_000).Draw(t, "timeout ms")) * time.Millisecond
		tick := time.Duration(rapid.Int64Range(1, int64(timeout/2)).Draw(t, "tick"))
		l := NewLease(timeout, 0)
		now, silent := time.Unix(1_000, 0), int64(readLimit(timeout))
		for range rapid.IntRange(1, 40).Draw(t, "renewals") {
			gap := time.Duration(rapid.Int64Range(int64(timeout)/100, silent).Draw(t, "gap"))
			trip := time.Duration(rapid.Int64Range(0, int64(timeout)/2).Draw(t, "trip"))
			silent = int64(timeout) / 2
			now = now.Add(gap)
			l.Renewed(now, now.Add(trip))
			earliest := now.Add(timeout - max(gap, tick/2))
			if !l.Deadline().Before(earliest) {
				t.Fatalf("deadline %v after the earliest expiry", l.Deadline().Sub(earliest))
			}
		}
	})
}
