package zk

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
	if !isCleanPath(cfg.Leaders) {
		return nil, fmt.Errorf("retrieval: %q is not a clean absolute path", cfg.Leaders)
	}
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Driver{cfg: cfg, log: log}, nil
}

// Follow reports the component's leader until ctx ends. See retrieval.Driver. What is
// published in a form that cannot be read is StatusUnconfirmed, and logged.
func (d *Driver) Follow(ctx context.Context, component string, observe func(retrieval.Observation)) error {
	if component == "" || strings.Contains(component, "/") {
		return fmt.Errorf("retrieval: %q is not the name of a component", component)
	}
	node := d.cfg.Leaders + "/" + component
	return follow(ctx, d.cfg.Client, component, func(ctx context.Context, s *zookeeper.Session) (retrieval.Observation, <-chan struct{}, error) {
		return d.look(ctx, s, node)
	}, observe)
}

// look reads what is published now. It keeps one watch, on the node, be it there or
// not.
func (d *Driver) look(ctx context.Context, s *zookeeper.Session, node string) (retrieval.Observation, <-chan struct{}, error) {
	for {
		data, stat, fired, err := s.WatchData(ctx, node)
		if err == nil {
			return d.published(node, data, stat), fired, nil
		}
		if !errors.Is(err, zookeeper.ErrNoNode) {
			return retrieval.Observation{}, nil, err
		}
		_, exists, fired, err := s.Watch(ctx, node)
		if err != nil {
			return retrieval.Observation{}, nil, err
		}
		if exists { // since
			continue
		}
		none, current, err := absent(ctx, s, node, fired)
		if err != nil || current {
			return none, fired, err
		}
	}
}

// published returns what the node says.
func (d *Driver) published(node string, data []byte, stat zookeeper.Stat) retrieval.Observation {
	info, err := leader.DecodeInfo(data)
	if err != nil {
		d.log.Warn("what is published cannot be read; a newer coordd may have written it", "node", node, "error", err)
		return retrieval.Observation{Status: retrieval.StatusUnconfirmed}
	}
	return retrieval.Observation{Status: retrieval.StatusKnown, Info: info, Index: stat.Czxid}
}
