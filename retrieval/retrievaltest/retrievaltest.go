// Package retrievaltest is the conformance suite of retrieval drivers. Every
// backend passes it: call Run from a test of the driver, with a Harness that
// publishes leaders at the backend. A driver passes it together with a
// retrieval.Retriever, of which it uses all.
//
// The suite runs in real time and never asserts on elapsed time: it waits for
// what must happen, with a failure time-out of half a minute, and asserts on
// orders.
package retrievaltest

import (
	"testing"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// Harness is one backend without leaders, and the means to publish some. Its
// methods fail the test, by t.Fatal, when they cannot do what they say.
type Harness interface {
	// Follower returns a new participant that follows leaders, with a session of
	// its own, which lives until the end of the test.
	Follower(t *testing.T) Follower
	// Publish has a new term begin, with an epoch larger than all before, and
	// publish itself as the component's leader with the given address. It may end
	// the former term, and does so when that leads the same component. Publish
	// returns what followers shall see, with the address unless the backend has no place
	// for one, and a function that has the term withdraw it by giving up leadership;
	// calling it after the term ended, or twice, does nothing.
	Publish(t *testing.T, component, address string) (info leader.Info, withdraw func())
}

// Forger is a Harness of a backend in which a leader can stand published that does not
// lead. Its methods fail the test as those of a Harness.
type Forger interface {
	Harness
	// Forge puts the info in the place of what is published for its component, as
	// it is and without a term: what a server that is behind might show. A later
	// Publish replaces it.
	Forge(t *testing.T, info leader.Info)
}

// Follower is one following participant of a Harness.
type Follower interface {
	// Driver returns the follower's driver. It may be used for several components
	// and several times at once.
	Driver() retrieval.Driver
	// Disconnect cuts the follower off until Reconnect, which the follower is able
	// to notice.
	Disconnect(t *testing.T)
	// Reconnect undoes Disconnect.
	Reconnect(t *testing.T)
	// Expire ends the connected follower's session, and returns when that is so. The
	// follower gets a new one.
	Expire(t *testing.T)
}

// testCase is one case of the suite.
type testCase[H Harness] struct {
	name string
	run  func(t *testing.T, s *scene, h H)
}

// Run runs the suite, each case on a fresh harness.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	t.Helper()
	for _, c := range []testCase[Harness]{
		{"there is none at first", noneAtFirst},
		{"a leader is announced when it publishes", announced},
		{"a leader that is there already is announced first", thereAlready},
		{"a newer leader replaces the former", replaced},
		{"a leader that withdraws leaves none", withdrawn},
		{"a new term at the same address is announced", sameAddress},
		{"only the component's own leader is announced", otherComponents},
		{"epochs never go back while leaders change quickly", quickChanges},
		{"a lost backend makes the leader unknown", lostBackend},
		{"after a reconnect the newest leader is announced", changeWhileAway},
		{"after a reconnect a withdrawn leader is none", withdrawWhileAway},
		{"a follower without connection learns when it has one", startsAway},
		{"a reconnect announces no leader again", sameAfterReconnect},
		{"a new session announces no leader again", sameInNewSession},
		{"of what changed while away the newest is announced, once", announcedOnce},
		{"a leader that withdrew while away is announced as gone, once", goneOnce},
		{"following ends with its context", endsWithContext},
		{"all followers and listeners come to the newest leader", manyListeners},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t)
			c.run(t, newScene(t), h)
		})
	}
}

// RunForged runs the cases for backends in which a server that is behind can be
// imitated, each on a fresh harness.
func RunForged(t *testing.T, newHarness func(t *testing.T) Forger) {
	t.Helper()
	for _, c := range []testCase[Forger]{
		{"an older leader is never announced again", olderLeader},
		{"an older leader is not announced after a reconnect", olderAfterReconnect},
		{"an older leader is not announced in a new session", olderInNewSession},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t)
			c.run(t, newScene(t), h)
		})
	}
}
