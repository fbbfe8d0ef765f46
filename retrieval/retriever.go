package retrieval

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/leader"
)

// ErrRunning: Run was called while another Run of the same Retriever is active.
var ErrRunning = errors.New("retriever is already running")

// Config is what New needs.
type Config struct {
	// Driver connects to the backend. Required.
	Driver Driver
	// Component is whose leader is followed, for example leader.Dispatcher.
	// Required.
	Component string
	// Logger receives each change of leader. Nil: nothing is logged.
	Logger hclog.Logger
}

// Retriever holds what is known about the leader of one component. Its methods
// may be called from any goroutine, also before Run and after it.
type Retriever struct {
	driver    Driver
	component string
	log       hclog.Logger

	mu      sync.Mutex
	running bool
	known   knowledge
	// changed is closed and replaced when anything but ObservedAt changes.
	changed chan struct{}
}

// New returns a Retriever that knows nothing until Run. Its error names the field
// of the configuration that cannot be used.
func New(cfg Config) (*Retriever, error) {
	switch {
	case cfg.Driver == nil:
		return nil, errors.New("retrieval: Config.Driver is nil: use the driver of a backend, for example of retrieval/zk")
	case cfg.Component == "":
		return nil, errors.New("retrieval: Config.Component is empty: name the component to follow, for example \"dispatcher\"")
	}
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Retriever{
		driver: cfg.Driver, component: cfg.Component,
		log: log.With("component", cfg.Component), changed: make(chan struct{}),
	}, nil
}

// Run follows the leader until ctx ends, and returns ctx's error. Losing the
// backend is a state, not an error. Other errors: ErrRunning, or one that says why
// following cannot succeed. When Run has ended the state is unknown.
func (r *Retriever) Run(ctx context.Context) error {
	if !r.start() {
		return ErrRunning
	}
	defer r.stop()
	err := r.driver.Follow(ctx, r.component, r.observe)
	r.observe(Observation{})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("follow the leader of %s: %w", r.component, err)
}

// Current returns what is known now. It does not block.
func (r *Retriever) Current() State {
	s, _ := r.State()
	return s
}

// State returns what is known now, and a channel that is closed when anything of it
// but ObservedAt changes, be it the index alone. It does not block.
func (r *Retriever) State() (State, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known.State, r.changed
}

// observe takes in what the driver saw.
func (r *Retriever) observe(o Observation) {
	before, after, accepted := r.take(o, time.Now())
	switch {
	case !accepted:
		r.log.Debug("the backend showed a former state, which is ignored", "status", o.Status.String(), "epoch", int64(o.Info.Epoch), "index", o.Index, "newest", int64(before.newest))
	case after.tells(before.State):
	case after.Status == StatusKnown:
		r.log.Info("leader known", "id", after.Info.ID, "address", after.Info.Address, "epoch", int64(after.Info.Epoch), "session_id", string(after.Info.SessionID))
	default:
		r.log.Info("leader "+after.Status.String(), "epoch", int64(after.newest))
	}
}

func (r *Retriever) take(o Observation, now time.Time) (before, after knowledge, accepted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.known
	r.known, accepted = before.accept(o, now)
	if !r.known.tells(before.State) || r.known.Index != before.Index {
		close(r.changed)
		r.changed = make(chan struct{})
	}
	return before, r.known, accepted
}

// confirmation is the last answer of the backend.
type confirmation struct {
	status Status // StatusUnknown: there was none yet
	info   leader.Info
}

// confirmed returns the last answer, and a channel that is closed at the next change.
func (r *Retriever) confirmed() (confirmation, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return confirmation{r.known.confirmed, r.known.Info}, r.changed
}

func (r *Retriever) start() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running {
		return false
	}
	r.running = true
	return true
}

func (r *Retriever) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = false
}
