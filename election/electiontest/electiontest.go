// Package electiontest is the conformance suite of election drivers. Every
// backend passes it: call Run from a test of the driver, with a Harness that
// reaches behind the backend.
//
// The suite runs in real time and never asserts on elapsed time: it waits for
// what must happen, with a failure time-out of half a minute and more, and asserts
// on orders. Beside what each case asserts, every grant is checked: its epoch is
// larger than all before, and whoever led before has lost or released its tenure
// by the time the grant is seen, unless its session or candidacy was ended at the
// backend, where no lease protects.
//
// For those who have a Contender rather than a driver there is Rehearse: a Stage
// runs the Contender, and the test begins and ends its terms.
package electiontest

import (
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// Harness is one empty latch at a backend, and the means to disturb it. Its
// methods fail the test, by t.Fatal, when they cannot do what they say.
type Harness interface {
	// Participant returns a new participant with a session of its own, which
	// lives until the end of the test or until the participant is expired.
	Participant(t *testing.T, id string) Participant
	// AwaitCandidates blocks until exactly n candidacies, the leader's included,
	// are present at the backend.
	AwaitCandidates(t *testing.T, n int)
	// Published returns the component's info at the backend, and whether there is
	// one. It sees all that was committed before it was called.
	Published(t *testing.T, component string) (leader.Info, bool)
	// SessionTimeout is how long a session outlives its connection. The suite
	// uses an eighth of it as stop grace. Zero: the backend has no sessions that
	// time out, and a disconnected one ends at once.
	SessionTimeout() time.Duration
}

// Participant is one participant of a Harness.
type Participant interface {
	// Driver returns the participant's driver, always the same one.
	Driver() election.Driver
	// TryWrite attempts a write with the guard over this participant's access to
	// the backend, and returns nil when it was stored or an error that wraps
	// leader.ErrFenced when it was refused. It blocks until that is known. The
	// guard may be another participant's, or one of a term long past.
	TryWrite(t *testing.T, g leader.Guard) error
	// Expire ends the session at the backend, and lets the participant learn of
	// it. The participant gets a new session by itself.
	Expire(t *testing.T)
	// Disconnect cuts the participant off, without ending its session, until
	// Reconnect. What it sends does not arrive, and it is not told.
	Disconnect(t *testing.T)
	// Reconnect undoes Disconnect. A session that ended meanwhile is followed by a
	// new one by itself.
	Reconnect(t *testing.T)
	// RemoveCandidacy deletes the participant's candidacy at the backend, as an
	// operator might, without ending its session.
	RemoveCandidacy(t *testing.T)
}

// Run runs the suite, each case on a fresh harness.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, c *contest)
	}{
		{"a single contender leads and writes", singleContender},
		{"a successor leads after the release", successorAfterRelease},
		{"waiting contenders lead in their order", firstComeFirstServed},
		{"epochs grow over many terms", epochsGrow},
		{"many electors lead one at a time", manyElectors},
		{"an elector leads again after its session expired", electorEndToEnd},
		{"an expired leader is told, fenced and succeeded", expiredLeader},
		{"a disconnected leader has lost before its successor is granted", disconnectedLeader},
		{"a release without connection hands over", releaseWhileDisconnected},
		{"a leader whose candidacy was removed is told and succeeded", removedLeader},
		{"a waiting contender whose candidacy was removed leads later", removedWaiting},
		{"a waiting contender survives a short disconnect", disconnectedWaiting},
		{"a waiting contender whose session expired leads later", expiredWaiting},
		{"a cancelled campaign leaves nothing behind", cancelledCampaign},
		{"a campaign with an ended context does not lead", endedContext},
		{"infos are published together and removed by the release", publishAndRelease},
		{"a successor's infos replace the former leader's", publishReplaces},
		{"infos end with the session", infosEndWithSession},
		{"publishing stops with its context", publishContext},
		{"publishing after the loss is fenced", publishAfterLoss},
		{"participants are listed in the order in which they lead", participantsInOrder},
		{"participants out of reach are waited for", participantsOutOfReach},
		{"a transfer to the next", transferToNext},
		{"a transfer over others lets them queue again", transferOverOthers},
		{"a transfer to the leader changes nothing", transferToLeader},
		{"a transfer to somebody unknown is refused", transferToUnknown},
		{"a transfer to whoever is next", transferToWhoeverIsNext},
		{"a cancelled transfer leaves nothing behind", cancelledTransfer},
		{"a transfer to one whose session expires is refused", targetExpires},
		{"a leader transfers its own leadership", leaderTransfersItself},
		{"transfers at once come about one after another", transfersAtOnce},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newContest(t, newHarness(t))) })
	}
}
