package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/job"
)

// stage is a job whose tasks do what the round wants: "hold" has many subtasks that run
// until they are let go, or end at once; "trigger" ends when the leader is dead, and the
// next leader, which hears of that, deploys "next".
type stage struct {
	subtasks int
	busy     bool
	// calls counts those of hold.
	calls     atomic.Int64
	triggered atomic.Bool
	trigger   chan struct{}
	released  chan struct{}
	letGo     func()
	next      chan time.Time
}

func newStage(subtasks int, busy bool) *stage {
	s := &stage{
		subtasks: subtasks, busy: busy,
		trigger: make(chan struct{}), released: make(chan struct{}), next: make(chan time.Time, 1),
	}
	s.letGo = sync.OnceFunc(func() { close(s.released) })
	return s
}

func (s *stage) file() []byte {
	return fmt.Appendf(nil, `{"name":"failover","tasks":[{"id":"hold","parallelism":%d,"func":"hold"},`+
		`{"id":"trigger","func":"trigger"},{"id":"next","needs":["trigger"],"func":"next"}]}`, s.subtasks)
}

func (s *stage) funcs() taskexecutor.Funcs {
	return taskexecutor.Funcs{"hold": s.hold, "trigger": s.pull, "next": s.note}
}

func (s *stage) hold(ctx context.Context, _ taskexecutor.TaskContext) error {
	s.calls.Add(1)
	if !s.busy {
		return nil
	}
	return await(ctx, s.released)
}

func (s *stage) pull(ctx context.Context, _ taskexecutor.TaskContext) error {
	s.triggered.Store(true)
	return await(ctx, s.trigger)
}

func (s *stage) note(context.Context, taskexecutor.TaskContext) error {
	select {
	case s.next <- time.Now():
	default: // only the first counts
	}
	return nil
}

func await(ctx context.Context, what <-chan struct{}) error {
	select {
	case <-what:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// started says whether all that shall run before the kill does, or did.
func (s *stage) started() bool { return s.triggered.Load() && s.calls.Load() == int64(s.subtasks) }

// asWanted says whether the leader knows of all subtasks of hold what it shall.
func (s *stage) asWanted(hold job.TaskSnapshot) bool {
	want := job.SubtaskFinished
	if s.busy {
		want = job.SubtaskRunning
	}
	for _, sub := range hold.Subtasks {
		if sub.Status != want {
			return false
		}
	}
	return true
}
