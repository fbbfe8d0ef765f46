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
	m    *memory
	away bool // guarded by m.mu
}

var (
	_ Harness          = (*memory)(nil)
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
func (f *follower) Reconnect(*testing.T)  { f.m.change(func() { f.away = false }) }

func (f *follower) Follow(ctx context.Context, component string, observe func(retrieval.Observation)) error {
	var last retrieval.Observation
	for {
		o, changed := f.look(component)
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

func (f *follower) look(component string) (retrieval.Observation, <-chan struct{}) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	p, ok := f.m.infos[component]
	if f.m.fault == "components are mixed up" && !ok {
		p, ok = f.m.infos["y"]
	}
	switch {
	case f.away && f.m.fault == "none when away":
		return retrieval.Observation{Status: retrieval.StatusNone, Index: f.m.index}, f.m.changed
	case f.away:
		return retrieval.Observation{}, f.m.changed
	case !ok && f.m.fault == "none has no index":
		return retrieval.Observation{Status: retrieval.StatusNone}, f.m.changed
	case !ok:
		return retrieval.Observation{Status: retrieval.StatusNone, Index: f.m.index}, f.m.changed
	default:
		return retrieval.Observation{Status: retrieval.StatusKnown, Info: p.info, Index: p.index}, f.m.changed
	}
}
