package electiontest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// memory is a backend of a few lines that keeps the contract, unless it is told
// to break it in one way.
type memory struct {
	fault string

	mu      sync.Mutex
	changed chan struct{}
	epoch   leader.Epoch
	queue   []*node
	infos   map[string]published
	// asking: a transfer is under way.
	asking bool
	// forgotten is the target of a transfer that was not taken back.
	forgotten *node
}

type published struct {
	info leader.Info
	by   *node
}

// node is a candidacy.
type node struct {
	p     *memoryParticipant
	id    string
	epoch leader.Epoch
	since time.Time
	gone  bool
	// tenure is set once the node leads.
	tenure *memoryTenure
}

// memoryParticipant is a participant and its own driver.
type memoryParticipant struct {
	m         *memory
	connected bool
	node      *node
}

type memoryTenure struct {
	p    *memoryParticipant
	node *node
	lost chan struct{}
	err  error
}

var (
	_ Harness         = (*memory)(nil)
	_ Participant     = (*memoryParticipant)(nil)
	_ election.Driver = (*memoryParticipant)(nil)
	_ election.Tenure = (*memoryTenure)(nil)
)

func newMemory(fault string) *memory {
	return &memory{fault: fault, changed: make(chan struct{}), infos: map[string]published{}}
}

// wake must be called with the lock held, as all unexported methods below.
func (m *memory) wake() {
	if to := m.forgotten; to != nil && !to.gone && m.queue[0] != to {
		_, _ = m.step(m.queue[0], to)
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) join(p *memoryParticipant, id string) *node {
	m.epoch++
	n := &node{p: p, id: id, epoch: m.epoch, since: time.Now()}
	if m.fault == "epochs repeat" {
		n.epoch = 1
	}
	if m.fault == "order is not kept" && len(m.queue) > 1 {
		m.queue = slices.Insert(m.queue, 1, n)
	} else {
		m.queue = append(m.queue, n)
	}
	m.wake()
	return n
}

func (m *memory) remove(n *node, cause error) {
	if n == nil || n.gone {
		return
	}
	n.gone = true
	if n.tenure != nil && m.fault != "loss is not told" {
		if m.fault == "loss has another cause" {
			cause = election.ErrResigned
		}
		n.tenure.lose(cause)
	}
	m.queue = slices.DeleteFunc(m.queue, func(o *node) bool { return o == n })
	if m.fault != "infos are kept" {
		for name, i := range m.infos {
			if i.by == n {
				delete(m.infos, name)
			}
		}
	}
	m.wake()
}

func (m *memory) leads(n *node) bool {
	return !n.gone && (m.queue[0] == n || m.fault == "everybody leads")
}

func (m *memory) Participant(*testing.T, string) Participant {
	return &memoryParticipant{m: m, connected: true}
}

func (m *memory) AwaitCandidates(t *testing.T, n int) {
	t.Helper()
	late := time.After(time.Second)
	for {
		m.mu.Lock()
		got, changed := len(m.queue), m.changed
		m.mu.Unlock()
		if got == n {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%d candidacies, want %d", got, n)
		}
	}
}

func (m *memory) Published(_ *testing.T, component string) (leader.Info, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.infos[component]
	return p.info, ok
}

func (*memory) SessionTimeout() time.Duration { return 0 }

func (p *memoryParticipant) Driver() election.Driver { return p }

func (p *memoryParticipant) TryWrite(_ *testing.T, g leader.Guard) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	n, ok := leader.Token[*node](g)
	if p.m.fault == "nothing is fenced" || ok && p.m.leads(n) {
		return nil
	}
	return fmt.Errorf("write: %w", leader.ErrFenced)
}

func (p *memoryParticipant) Expire(*testing.T) { p.end(election.ErrSessionExpired) }

func (p *memoryParticipant) RemoveCandidacy(*testing.T) { p.end(election.ErrNodeDeleted) }

func (p *memoryParticipant) end(cause error) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.m.remove(p.node, cause)
}

func (p *memoryParticipant) Disconnect(*testing.T) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.connected = false
	if p.node != nil && p.node.tenure != nil {
		p.m.remove(p.node, election.ErrDisconnected)
	}
}

func (p *memoryParticipant) Reconnect(*testing.T) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.connected = true
	p.m.wake()
}

func (p *memoryParticipant) Campaign(ctx context.Context, c election.Candidate) (election.Tenure, error) {
	for {
		p.m.mu.Lock()
		if p.node == nil || p.node.gone {
			p.node = p.m.join(p, c.ID)
		}
		if p.connected && p.m.leads(p.node) {
			p.node.tenure = &memoryTenure{p: p, node: p.node, lost: make(chan struct{})}
			p.m.wake() // a transfer may wait for it
			p.m.mu.Unlock()
			return p.node.tenure, nil
		}
		changed := p.m.changed
		p.m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			if p.m.fault != "cancelled candidacies stay" {
				p.end(ctx.Err())
			}
			return nil, ctx.Err()
		}
	}
}

func (f *memoryTenure) lose(cause error) {
	select {
	case <-f.lost:
	default:
		f.err = cause
		close(f.lost)
	}
}

func (f *memoryTenure) Guard() leader.Guard   { return leader.NewGuard(f.node.epoch, f.node) }
func (f *memoryTenure) Lost() <-chan struct{} { return f.lost }

func (f *memoryTenure) Err() error {
	f.p.m.mu.Lock()
	defer f.p.m.mu.Unlock()
	return f.err
}

func (f *memoryTenure) Publish(_ context.Context, infos ...leader.Info) error {
	f.p.m.mu.Lock()
	defer f.p.m.mu.Unlock()
	if !f.p.m.leads(f.node) && f.p.m.fault != "publishing is not fenced" {
		return leader.ErrFenced
	}
	for _, i := range infos {
		f.p.m.infos[i.Component] = published{i, f.node}
	}
	return nil
}

func (f *memoryTenure) Release(context.Context) error {
	f.p.m.mu.Lock()
	defer f.p.m.mu.Unlock()
	f.p.m.remove(f.node, election.ErrResigned)
	return nil
}
