package zk

import (
	"context"
	"errors"
	"testing"
)

func TestAReadWaitsWhileAsManyAsAllowedAreUnderWay(t *testing.T) {
	s := newStore("/c")
	for range maxReads {
		if err := s.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := s.enter(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("one read more: %v, want it to wait until its context ended", err)
	}
	s.leave()
	if err := s.enter(t.Context()); err != nil {
		t.Errorf("a read after another has ended: %v, want it to be sent", err)
	}
}
