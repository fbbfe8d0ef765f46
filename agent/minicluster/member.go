package minicluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/coordd/coordd/ha/embedded"
)

// Member is an agent or a worker of a Cluster. Its methods may be called from any
// goroutine, those that disturb it after Cluster.Started, any number of times.
type Member struct {
	id          string
	participant *embedded.Participant
	cable       *cable
	// listen opens what run serves.
	listen func(ctx context.Context) error
	run    func(ctx context.Context) error

	url string // set before Cluster.started is closed

	once   sync.Once
	dead   atomic.Bool   // set before anything of the member is broken
	killed chan struct{} // closed behind that
	gone   chan struct{}

	mu           sync.Mutex
	paused, away bool
}

// ID returns the member's name: node-1 and so on, and worker-1 and so on.
func (m *Member) ID() string { return m.id }

// URL returns an agent's HTTP base URL, "" for a worker. Call it after Cluster.Started.
func (m *Member) URL() string { return m.url }

// Kill lets the member crash: its connections break, nobody is told, its session is
// left to expire. It returns at once; Gone says when what was running has ended.
func (m *Member) Kill() {
	m.once.Do(func() {
		m.dead.Store(true)
		// First the session: an agent whose listener breaks stops, and would resign.
		m.participant.Kill()
		m.cable.crash()
		close(m.killed)
	})
}

// Gone is closed when nothing of the member runs any more.
func (m *Member) Gone() <-chan struct{} { return m.gone }

// Pause cuts the member off from everybody until Resume: bytes stop on all of its
// connections, which stay open, and the backend is out of reach. That is how a process
// that was stopped, or whose network fails silently, looks from outside. Inside, its
// tasks and its clocks go on.
func (m *Member) Pause() {
	m.cable.stop()
	m.set(func() { m.paused = true })
}

// Resume ends a Pause. What was held back arrives now.
func (m *Member) Resume() {
	m.set(func() { m.paused = false })
	m.cable.flow()
}

// Disconnect puts the backend out of the member's reach until Reconnect, and nothing
// else: as when ZooKeeper is away.
func (m *Member) Disconnect() { m.set(func() { m.away = true }) }

// Reconnect ends a Disconnect.
func (m *Member) Reconnect() { m.set(func() { m.away = false }) }

// set changes what keeps the member from its backend.
func (m *Member) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	if m.paused || m.away {
		m.participant.Disconnect()
	} else {
		m.participant.Reconnect()
	}
}

// live runs the member until ctx ends or it is killed.
func (m *Member) live(ctx context.Context) error {
	defer close(m.gone)
	defer m.cable.crash() // whatever was left open
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-m.killed:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := m.run(ctx)
	cancel()
	<-watched
	if m.dead.Load() {
		return nil // how a killed process ends says nothing
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.id, err)
	}
	return nil
}
