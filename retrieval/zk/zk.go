package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/zookeeper"
)

// Config says where leaders publish themselves.
type Config struct {
	// Client provides the session; its Run must be active.
	Client *zookeeper.Client
	// Leaders is the path below which each component has its node, for example
	// "/coordd/default/leader".
	Leaders string
	// Logger gets messages; nil for none.
	Logger hclog.Logger
}

// Driver follows published leaders in ZooKeeper.
type Driver struct {
	cfg Config
	log hclog.Logger
}

var _ retrieval.Driver = (*Driver)(nil)

// New returns a driver. It does no I/O.
func New(cfg Config) (*Driver, error) {
	if cfg.Client == nil {
		return nil, errors.New("retrieval: no ZooKeeper client is configured")
	}
	if !strings.HasPrefix(cfg.Leaders, "/") || cfg.Leaders != path.Clean(cfg.Leaders) {
		return nil, fmt.Errorf("retrieval: %q is not a clean absolute path", cfg.Leaders)
	}
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Driver{cfg: cfg, log: log}, nil
}

// Follow reports the component's leader until ctx ends. See retrieval.Driver.
func (d *Driver) Follow(ctx context.Context, component string, observe func(retrieval.Observation)) error {
	if component == "" || strings.Contains(component, "/") {
		return fmt.Errorf("retrieval: %q is not the name of a component", component)
	}
	for {
		observe(retrieval.Observation{})
		s, err := d.cfg.Client.Session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		err = d.session(ctx, s, component, observe)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case s.Err() == nil:
			return fmt.Errorf("retrieval: follow %s: %w", component, err)
		}
		<-s.Done()
	}
}

// session follows the component until the session has ended.
func (d *Driver) session(ctx context.Context, s *zookeeper.Session, component string, observe func(retrieval.Observation)) error {
	for {
		state, changed := s.State()
		if state != zookeeper.Connected {
			observe(retrieval.Observation{})
			select {
			case <-changed:
			case <-s.Done():
				return s.Err()
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		seen, fired, err := d.lookUntil(ctx, changed, s, d.cfg.Leaders+"/"+component)
		switch {
		case errors.Is(err, errInterrupted):
			continue
		case err != nil:
			return err
		}
		observe(seen)
		select {
		case <-fired:
		case <-changed:
		case <-s.Done():
			return s.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errInterrupted says that the connection changed under a look.
var errInterrupted = errors.New("connection changed")

// lookUntil looks unless the connection changes before the answer is there: reads
// would wait for the next connection, and what was observed last would go on to
// count as known.
func (d *Driver) lookUntil(ctx context.Context, changed <-chan struct{}, s *zookeeper.Session, node string) (retrieval.Observation, <-chan struct{}, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		select {
		case <-changed:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	})
	seen, fired, err := d.look(ctx, s, node)
	if err != nil && errors.Is(context.Cause(ctx), errInterrupted) && s.Err() == nil {
		return retrieval.Observation{}, nil, errInterrupted
	}
	return seen, fired, err
}

// look reads what is published now and returns the watch that was armed before.
func (d *Driver) look(ctx context.Context, s *zookeeper.Session, node string) (retrieval.Observation, <-chan struct{}, error) {
	_, exists, fired, err := s.Watch(ctx, node)
	if err != nil {
		return retrieval.Observation{}, nil, err
	}
	if exists {
		data, stat, err := s.Get(ctx, node)
		switch {
		case err == nil:
			info, err := leader.DecodeInfo(data)
			if err != nil {
				d.log.Warn("what is published cannot be read; a newer coordd may have written it", "node", node, "error", err)
				return retrieval.Observation{}, fired, nil
			}
			return retrieval.Observation{Status: retrieval.StatusKnown, Info: info, Index: stat.Czxid}, fired, nil
		case !errors.Is(err, zookeeper.ErrNoNode):
			return retrieval.Observation{}, nil, err
		}
	}
	parent, _, err := s.Exists(ctx, d.cfg.Leaders)
	return retrieval.Observation{Status: retrieval.StatusNone, Index: parent.Pzxid}, fired, err
}
