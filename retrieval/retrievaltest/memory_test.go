package retrievaltest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// memory is a backend of a few lines that keeps the contract, unless it is told
// to break it in one way.
type memory struct {
	fault string

	mu      sync.Mutex
	changed chan struct{}
	index   int64
	infos   map[string]published
}

type published struct {
	info  leader.Info
	index int64
}

type follower struct {
	m *memory
	// Guarded by m.mu. A connection is lost with the backend, and with a session.
	away        bool
	connections int
}

var (
	_ Forger           = (*memory)(nil)
	_ Follower         = (*follower)(nil)
	_ retrieval.Driver = (*follower)(nil)
)

func newMemory(fault string) *memory {
	return &memory{fault: fault, changed: make(chan struct{}), infos: map[string]published{}}
}

// change applies f and wakes the followers.
func (m *memory) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.index++
	f()
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) Follower(*testing.T) Follower { return &follower{m: m} }

func (m *memory) Publish(_ *testing.T, component, address string) (leader.Info, func()) {
	info := leader.Info{
		Component: component, ID: "a", Address: address, SessionID: leader.NewSessionID(),
		Since: time.Now().UTC().Round(0), Phase: leader.PhaseReady,
	}
	m.change(func() {
		info.Epoch = leader.Epoch(m.index)
		m.infos[component] = published{info, m.index}
	})
	return info, func() {
		m.change(func() {
			if m.infos[component].info == info {
				delete(m.infos, component)
			}
		})
	}
}

func (m *memory) Forge(_ *testing.T, info leader.Info) {
	m.change(func() { m.infos[info.Component] = published{info, m.index} })
}

func (f *follower) Driver() retrieval.Driver { return f }

func (f *follower) Disconnect(*testing.T) { f.m.change(func() { f.away = true }) }
func (f *follower) Reconnect(*testing.T) {
	f.m.change(func() { f.away, f.connections = false, f.connections+1 })
}
func (f *follower) Expire(*testing.T) { f.m.change(func() { f.connections++ }) }

func (f *follower) Follow(ctx context.Context, component string, observe func(retrieval.Observation)) error {
	var last retrieval.Observation
	asked := -1 // the connection on which the backend was asked
	for {
		o, connection, changed := f.look(component)
		if connection != asked && answers(o) {
			asked = connection
			observe(retrieval.Observation{})
			unconfirmed := retrieval.Observation{Status: retrieval.StatusUnconfirmed}
			if f.m.fault == "unconfirmed has a leader" {
				unconfirmed.Info = o.Info
			}
			observe(unconfirmed)
		}
		if f.m.fault != "address stands for leader" || o.Info.Address == "" || o.Info.Address != last.Info.Address {
			observe(o)
			last = o
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if f.m.fault == "ends without error" {
				return nil
			}
			return ctx.Err()
		}
	}
}

func (f *follower) look(component string) (o retrieval.Observation, connection int, changed <-chan struct{}) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	p, ok := f.m.infos[component]
	if f.m.fault == "components are mixed up" && !ok {
		p, ok = f.m.infos["y"]
	}
	switch {
	case f.away && f.m.fault == "none when away":
		o = retrieval.Observation{Status: retrieval.StatusNone, Index: f.m.index}
	case f.away && f.m.fault == "unconfirmed when away":
		o = retrieval.Observation{Status: retrieval.StatusUnconfirmed}
	case f.away:
	case !ok && f.m.fault == "none has no index":
		o = retrieval.Observation{Status: retrieval.StatusNone}
	case !ok:
		o = retrieval.Observation{Status: retrieval.StatusNone, Index: f.m.index}
	default:
		o = retrieval.Observation{Status: retrieval.StatusKnown, Info: p.info, Index: p.index}
	}
	return o, f.connections, f.m.changed
}
