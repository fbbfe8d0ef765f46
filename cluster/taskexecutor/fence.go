package taskexecutor

import (
	"fmt"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/leader"
)

// fence keeps the newest term that the worker has heard of. All components of a
// cluster are led under one latch, so one term stands for all jobs: whoever acts for
// an older one has been deposed.
type fence struct {
	newest leader.TermID
}

// admit notes the term, or returns ErrFencingToken for one that the newest excludes.
func (f *fence) admit(t leader.TermID) error {
	switch {
	case t.Epoch <= 0:
		return fmt.Errorf("the call names no term: %w", gateway.ErrFencingToken)
	case t.Epoch < f.newest.Epoch, t.Epoch == f.newest.Epoch && t.SessionID != f.newest.SessionID:
		return fmt.Errorf("it is of %s, and the newest is %s: %w", t, f.newest, gateway.ErrFencingToken)
	}
	f.newest = t
	return nil
}

// termOf returns the term in which a leader was elected.
func termOf(info leader.Info) leader.TermID {
	return leader.TermID{SessionID: info.SessionID, Epoch: info.Epoch}
}
