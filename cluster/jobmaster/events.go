package jobmaster

import (
	"sync"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/jobstore"
)

// event is something that the core reacts to.
type event interface{ isEvent() }

type (
	// begun: Run was called.
	begun struct{}
	// cancelRequested: somebody wants the job to stop.
	cancelRequested struct{}
	// ticked: the time that wake named has come.
	ticked struct{}
	// recordRead answers actions.read.
	recordRead struct {
		progress jobstore.Progress
		err      error
	}
	// recordWritten answers actions.write.
	recordWritten struct{ err error }
	// slotGranted answers actions.requestSlot.
	slotGranted struct {
		slot gateway.Slot
		err  error
	}
	// deployed answers actions.deploy.
	deployed struct {
		attempt gateway.AttemptID
		err     error
	}
	// attemptEnded is a worker's report.
	attemptEnded struct{ end gateway.AttemptEnd }
)

func (begun) isEvent()           {}
func (cancelRequested) isEvent() {}
func (ticked) isEvent()          {}
func (recordRead) isEvent()      {}
func (recordWritten) isEvent()   {}
func (slotGranted) isEvent()     {}
func (deployed) isEvent()        {}
func (attemptEnded) isEvent()    {}

// actions is what the core wants done. Each question gets exactly one answering
// event.
type actions struct {
	read        bool
	write       *jobstore.Progress
	requestSlot bool
	// abandonSlot gives up a request that is under way; it is answered as usual.
	abandonSlot bool
	deploy      *deployment
	cancel      []gateway.AttemptID
	free        []gateway.Slot
}

type deployment struct {
	slot gateway.Slot
	what gateway.Deployment
}

// mailbox brings events to the owner of the core. Putting never blocks: what is in
// it is bounded by the deployed attempts and the few questions that are open.
type mailbox struct {
	mu     sync.Mutex
	events []event
	closed bool
	// filled holds a value while there may be events.
	filled chan struct{}
}

func newMailbox() *mailbox { return &mailbox{filled: make(chan struct{}, 1)} }

func (m *mailbox) put(e event) {
	m.mu.Lock()
	if !m.closed {
		m.events = append(m.events, e)
	}
	m.mu.Unlock()
	select {
	case m.filled <- struct{}{}:
	default:
	}
}

// take returns what is there.
func (m *mailbox) take() []event {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.events
	m.events = nil
	return events
}

// close drops what is there and what comes.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.events = true, nil
}
