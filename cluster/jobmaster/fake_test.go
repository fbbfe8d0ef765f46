package jobmaster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// cluster is a resource manager with its workers, under the test's hand. It gives
// slots to the one job as that declares needs.
type cluster struct {
	mu      sync.Mutex
	calls   sync.WaitGroup
	master  *Master
	workers []*host
	needs   []gateway.Need
	// declared are all needs ever declared, as numbers of slots; registered how often
	// a master has registered, by when.
	declared   []int
	registered []time.Time
	// connected says that a master is registered, beating that it gets heartbeats.
	connected, silent bool
	farewells         int
	// registerErr and declareErr are asked on each call, if set.
	registerErr, declareErr func(n int) error
	// holders are what Holders returns, when holdersKnown is closed or nil.
	holders      []gateway.Worker
	holdersKnown chan struct{}
}

var (
	_ gateway.ResourceManager = (*cluster)(nil)
	_ gateway.TaskExecutor    = (*host)(nil)
)

func (c *cluster) ResourceManager(ctx context.Context) (gateway.ResourceManager, error) {
	return c, ctx.Err()
}

func (c *cluster) TaskExecutor(_ context.Context, w gateway.Worker, _ leader.TermID) (gateway.TaskExecutor, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.workers, func(o *host) bool { return o.who == w })
	if i < 0 {
		return nil, nil, errors.New("nobody listens")
	}
	c.workers[i].connections++
	var once sync.Once
	return c.workers[i], func() {
		once.Do(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.workers[i].connections--
		})
	}, nil
}

func (c *cluster) RegisterJobMaster(ctx context.Context, m gateway.MasterRegistration) error {
	c.mu.Lock()
	c.registered = append(c.registered, time.Now())
	n, fail := len(c.registered), c.registerErr
	c.mu.Unlock()
	if fail != nil {
		if err := fail(n); errors.Is(err, context.DeadlineExceeded) {
			<-ctx.Done()
			return ctx.Err()
		} else if err != nil {
			return err
		}
	}
	if m.Job != "j" || m.Address != "here" || m.Term.Epoch == 0 {
		return fmt.Errorf("registration %+v", m)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected = ctx.Err() == nil
	return ctx.Err()
}

// beat sends heartbeats to the master until ctx ends.
func (c *cluster) beat(ctx context.Context, m *Master) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
		c.mu.Lock()
		due := c.connected && !c.silent
		c.mu.Unlock()
		if !due {
			continue
		}
		if err := m.Heartbeat(ctx, gateway.Peer{Term: m.cfg.Term}); errors.Is(err, gateway.ErrNotRegistered) {
			c.mu.Lock()
			c.connected = false
			c.mu.Unlock()
		}
	}
}

func (c *cluster) DisconnectJobMaster(context.Context, leader.TermID, job.ID, string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected = false
	c.farewells++
	return nil
}

func (c *cluster) DeclareNeeds(_ context.Context, _ leader.TermID, _ job.ID, needs []gateway.Need) error {
	c.mu.Lock()
	sum := 0
	for _, n := range needs {
		sum += n.Count
	}
	c.declared = append(c.declared, sum)
	n, fail := len(c.declared), c.declareErr
	c.mu.Unlock()
	if fail != nil {
		if err := fail(n); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.needs = needs
	c.mu.Unlock()
	c.share() //nolint:contextcheck // it goes on after the call
	return nil
}

// share gives free slots to the job, as many as it needs.
func (c *cluster) share() {
	c.mu.Lock()
	if !c.connected {
		c.mu.Unlock()
		return
	}
	left := map[int]int{}
	for i, n := range c.needs {
		left[i] = n.Count
	}
	use := func(w *host) bool {
		for i, n := range c.needs {
			fits := &group{requires: n.Requires}
			if left[i] > 0 && fits.fits(w.labels) {
				left[i]--
				return true
			}
		}
		return false
	}
	for _, w := range c.workers {
		for range w.slots {
			use(w)
		}
	}
	var offers []func()
	for _, w := range c.workers {
		var names []gateway.Slot
		for !w.down && len(w.slots) < w.capacity && use(w) {
			names = append(names, w.allocate())
		}
		if len(names) > 0 {
			offers = append(offers, func() { w.offer(names) })
		}
	}
	c.mu.Unlock()
	for _, offer := range offers {
		c.calls.Go(offer)
	}
}

func (c *cluster) Holders(ctx context.Context, _ job.ID) ([]gateway.Worker, error) {
	c.mu.Lock()
	known := c.holdersKnown
	c.mu.Unlock()
	if known != nil {
		select {
		case <-known:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.holders), nil
}

func (c *cluster) worker(id string) *host {
	i := slices.IndexFunc(c.workers, func(w *host) bool { return w.who.ID == id })
	return c.workers[i]
}

// What the master never calls.

func (c *cluster) RegisterWorker(context.Context, gateway.WorkerRegistration) (gateway.WorkerReply, error) {
	panic("not the master's call")
}

func (c *cluster) DisconnectWorker(context.Context, gateway.Worker, string, bool) error {
	panic("not the master's call")
}

func (c *cluster) SlotsFreed(context.Context, gateway.Worker, []gateway.Slot) error {
	panic("not the master's call")
}

func (c *cluster) Workers(context.Context) ([]gateway.WorkerStatus, error) {
	panic("not the master's call")
}
func (c *cluster) Drain(context.Context, string) error      { panic("not the master's call") }
func (c *cluster) ReleaseJob(context.Context, job.ID) error { panic("not the master's call") }
