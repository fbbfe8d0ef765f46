package zookeeper

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-zookeeper/zk"
)

// A code that go-zookeeper has no value for is an answer all the same: taking it
// for a lost reply would repeat the request for ever.
func TestAnswersThatGoZookeeperDoesNotNameAreRefusals(t *testing.T) {
	for code, want := range map[int]error{
		-2: errRefused, -6: errRefused, -125: errRefused, -127: errRefused, // quota, throttled
		-4: nil, -7: nil, -122: nil, // may have been applied
	} {
		reason, known := answer(fmt.Errorf("unknown error: %v", zk.ErrCode(code)))
		if !errors.Is(reason, want) || known != (want != nil) {
			t.Errorf("code %d is %v, known %v; want %v", code, reason, known, want)
		}
	}
	if reason, known := answer(zk.ErrConnectionClosed); known {
		t.Errorf("a closed connection is taken for the answer %v", reason)
	}
}

func TestTheEndOfTheSessionIsTheReasonOfWhatItInterrupts(t *testing.T) {
	s := &Session{state: Ended, err: ErrExpired}
	unsent := s.failed("create", "/x", zk.ErrNoServer)
	if !errors.Is(unsent, ErrExpired) || errors.Is(unsent, ErrSuspended) || errors.Is(unsent, ErrUnknownOutcome) {
		t.Errorf("request that never left: %v, want %v alone", unsent, ErrExpired)
	}
	for _, err := range []error{zk.ErrClosing, zk.ErrConnectionClosed} {
		sent := s.failed("create", "/x", err)
		if !errors.Is(sent, ErrUnknownOutcome) || !errors.Is(sent, ErrExpired) {
			t.Errorf("request that was sent: %v, want %v because of %v", sent, ErrUnknownOutcome, ErrExpired)
		}
	}
}
