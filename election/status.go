package election

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/coordd/coordd/leader"
)

// Status is a participant's own view of its leadership, for health checks and
// people. It is a snapshot: to act as the leader, hold a Term.
type Status struct {
	// Leading says whether a term is going on. It is false as soon as the term's
	// context ends, although Lead may still be stopping.
	Leading bool
	// Epoch and SessionID name the term; zero when not leading.
	Epoch     leader.Epoch
	SessionID leader.SessionID
	// Since is when the term began by this process' clock; zero when not leading.
	Since time.Time
	// Phase is how far the least advanced component has come; empty when not
	// leading. Only at leader.PhaseReady does everything serve.
	Phase leader.Phase
	// Phases is how far each component has come; nil when not leading. The map
	// belongs to the caller.
	Phases map[string]leader.Phase
}

// board is what an Elector's run loop, its terms and its observers share.
type board struct {
	mu      sync.Mutex
	running bool
	// spent: a Lead overran its grace, so no further term may ever begin.
	spent   bool
	current *grant
	// phases belong to current.
	phases  map[string]leader.Phase
	changed chan struct{}
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

// start admits one Run or Campaign at a time, and none after an overrun.
func (b *board) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.spent:
		return ErrStopGrace
	case b.running:
		return ErrRunning
	}
	b.running = true
	return nil
}

// stop ends what start began.
func (b *board) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = false
}

// spend makes every later start fail.
func (b *board) spend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = true
}

// show makes g, nil for none, the current grant, with one component.
func (b *board) show(g *grant, component string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current, b.phases = g, nil
	if g != nil {
		b.phases = map[string]leader.Phase{component: leader.PhaseElected}
	}
	b.wake()
}

// split replaces a component of g by others, which begin as elected.
func (b *board) split(g *grant, component string, into []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != g {
		return
	}
	delete(b.phases, component)
	for _, name := range into {
		b.phases[name] = leader.PhaseElected
	}
	b.wake()
}

// set records a component's phase and reports whether g is still going on.
func (b *board) set(g *grant, component string, p leader.Phase) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != g || g.ended() {
		return false
	}
	if b.phases[component] != p {
		b.phases[component] = p
		b.wake()
	}
	g.ready = g.ready || least(b.phases) == leader.PhaseReady
	return true
}

// grant returns the current grant, nil for none.
func (b *board) grant() *grant {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current
}

// becameReady says whether all of g's components were ready at one time.
func (b *board) becameReady(g *grant) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return g.ready
}

func (b *board) status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.current
	if g == nil || g.ended() {
		return Status{}
	}
	return Status{
		Leading: true, Epoch: g.guard.Epoch(), SessionID: g.session, Since: g.since,
		Phase: least(b.phases), Phases: maps.Clone(b.phases),
	}
}

func (b *board) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// announce tells observers that what status returns has changed.
func (b *board) announce() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wake()
}

// wake must be called with the lock held.
func (b *board) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// least returns the phase that comes first among those of the components.
func least(phases map[string]leader.Phase) leader.Phase {
	order := []leader.Phase{leader.PhaseElected, leader.PhaseRecovering, leader.PhaseReady}
	first := leader.PhaseReady
	for _, p := range phases {
		if slices.Index(order, p) < slices.Index(order, first) {
			first = p
		}
	}
	return first
}
