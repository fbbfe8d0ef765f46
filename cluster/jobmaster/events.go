package jobmaster

import (
	"time"

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
	// outputsRead answers actions.readOutputs.
	outputsRead struct {
		outputs []jobstore.Output
		err     error
	}
	// recordWritten answers actions.write.
	recordWritten struct{ err error }

	// managerConnected: the job is registered at the resource manager.
	managerConnected struct{ at gateway.ResourceManager }
	// managerLost: it is not any more. The connection is made again.
	managerLost struct{ reason string }
	// needsDeclared answers actions.declare.
	needsDeclared struct {
		manager int
		err     error
	}
	// holdersKnown answers actions.holders.
	holdersKnown struct {
		manager int
		workers []gateway.Worker
		err     error
	}
	// slotsWanted: the resource manager wants slots back.
	slotsWanted struct{ need gateway.Need }

	// workerRegistered is a worker's registration, dialled back already.
	workerRegistered struct {
		who      gateway.Worker
		has      gateway.JobReport
		executor gateway.TaskExecutor
		// hangUp releases the connection.
		hangUp func()
		reply  chan answer[gateway.JobReply]
		// over is closed when the worker does not wait for the answer any more.
		over <-chan struct{}
	}
	// slotsOffered is a worker's offer.
	slotsOffered struct {
		who   gateway.Worker
		slots []gateway.Slot
		reply chan answer[[]gateway.Slot]
	}
	// attemptsEnded is a worker's report.
	attemptsEnded struct {
		who   gateway.Worker
		ends  []gateway.AttemptEnd
		reply chan answer[none]
	}
	// workerGone: a worker says that it goes, or the resource manager that it has
	// gone.
	workerGone struct {
		who    gateway.Worker
		reason string
	}
	// exchanged answers an exchange.
	exchanged struct {
		of       exchange
		sent     time.Time
		refusals []gateway.Refusal
		// deployErr is that of Deploy. After one nothing else was tried.
		deployErr, cancelErr, freeErr error
	}
	// beaten answers a beat.
	beaten struct {
		serial int
		sent   time.Time
		err    error
	}
)

// none is an answer that says nothing.
type none struct{}

func (begun) isEvent()            {}
func (cancelRequested) isEvent()  {}
func (ticked) isEvent()           {}
func (recordRead) isEvent()       {}
func (outputsRead) isEvent()      {}
func (recordWritten) isEvent()    {}
func (managerConnected) isEvent() {}
func (managerLost) isEvent()      {}
func (needsDeclared) isEvent()    {}
func (holdersKnown) isEvent()     {}
func (slotsWanted) isEvent()      {}
func (workerRegistered) isEvent() {}
func (slotsOffered) isEvent()     {}
func (attemptsEnded) isEvent()    {}
func (workerGone) isEvent()       {}
func (exchanged) isEvent()        {}
func (beaten) isEvent()           {}

// actions is what the core wants done. Each question gets exactly one answering
// event.
type actions struct {
	read        bool
	readOutputs []jobstore.OutputID
	write       *write
	// connect has the resource manager followed, reconnect says why it is to be connected
	// to again; neither is answered.
	connect   bool
	reconnect error
	declare   *declaration
	holders   *holdersQuery
	// exchanges and beats are calls of workers.
	exchanges []exchange
	beats     []beat
	partings  []parting
	// answers give callers what they wait for. They never block.
	answers []func()
}

// write is one write of the record.
type write struct {
	progress jobstore.Progress
	outputs  []jobstore.Output
}

// declaration and holdersQuery are calls of the resource manager, of the manager-th
// registration there.
type declaration struct {
	manager int
	at      gateway.ResourceManager
	needs   []gateway.Need
}

type holdersQuery struct {
	manager int
	at      gateway.ResourceManager
}

// exchange is what is to be told to a worker, in this order. There is one at a time
// for each worker.
type exchange struct {
	serial int
	at     gateway.TaskExecutor
	deploy []gateway.Deployment
	cancel []gateway.AttemptID
	free   []gateway.Slot
}

// beat is a heartbeat to a worker.
type beat struct {
	serial int
	at     gateway.TaskExecutor
}

// parting is the end of a connection to a worker.
type parting struct {
	at     gateway.TaskExecutor
	hangUp func()
	// reason is told to the worker, unless it is empty.
	reason string
}
