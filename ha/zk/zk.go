// Package zk is the ZooKeeper backend: election, retrieval and the guarded store
// of one cluster through one session.
//
// The cluster lives below one root: latch/ holds the
// contenders, leader/ what they publish, and everything else belongs to the store.
package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/election"
	electionzk "github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	retrievalzk "github.com/coordd/coordd/retrieval/zk"
	"github.com/coordd/coordd/zookeeper"
)

// The folders below the root that are not the store's.
const (
	latchFolder   = "latch"
	leadersFolder = "leader"
)

// Config says which cluster in which ensemble.
type Config struct {
	// Servers lists the ensemble's members as HOST:PORT.
	Servers []string
	// Root is the cluster's path, for example "/coordd/default".
	Root string
	// SessionTimeout is T as asked for; zero means zookeeper.DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Tick is the servers' tickTime; zero when unknown.
	Tick time.Duration
	// EpochFloor is added to every epoch; see election/zk.
	EpochFloor leader.Epoch
	// Dial replaces the ordinary dialer; nil for that one.
	Dial zookeeper.Dial
	// Logger gets messages; nil for none.
	Logger hclog.Logger
}

// Services is one participant's access to a cluster in ZooKeeper.
type Services struct {
	client    *zookeeper.Client
	election  *electionzk.Driver
	retrieval *retrievalzk.Driver
	store     *Store
}

var _ ha.Services = (*Services)(nil)

// New returns the services. It checks the configuration and does no I/O.
func New(cfg Config) (*Services, error) {
	if !strings.HasPrefix(cfg.Root, "/") || cfg.Root == "/" || cfg.Root != path.Clean(cfg.Root) {
		return nil, fmt.Errorf("the cluster's root %q is not a path such as /coordd/default", cfg.Root)
	}
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	client, err := zookeeper.New(zookeeper.Config{
		Servers: cfg.Servers, SessionTimeout: cfg.SessionTimeout, Dial: cfg.Dial, Logger: log.Named("zookeeper"),
	})
	if err != nil {
		return nil, err
	}
	leaders := cfg.Root + "/" + leadersFolder
	elections, err := electionzk.New(electionzk.Config{
		Client: client, Latch: cfg.Root + "/" + latchFolder, Leaders: leaders,
		Tick: cfg.Tick, EpochFloor: cfg.EpochFloor, Logger: log.Named("election"),
	})
	if err != nil {
		return nil, err
	}
	retrievals, err := retrievalzk.New(retrievalzk.Config{Client: client, Leaders: leaders, Logger: log.Named("retrieval")})
	if err != nil {
		return nil, err
	}
	return &Services{client: client, election: elections, retrieval: retrievals, store: &Store{root: cfg.Root}}, nil
}

// Run keeps a session until ctx ends.
func (s *Services) Run(ctx context.Context) error { return s.client.Run(ctx) }

// Election returns the driver of the cluster's latch.
func (s *Services) Election() election.Driver { return s.election }

// Retrieval returns the driver of the cluster's leaders.
func (s *Services) Retrieval() retrieval.Driver { return s.retrieval }

// Store returns the cluster's guarded store.
func (s *Services) Store() ha.Store { return s.store }

// Client returns the ZooKeeper client, for reads outside any term.
func (s *Services) Client() *zookeeper.Client { return s.client }

// Health reports the state of the session.
func (s *Services) Health() ha.Health {
	st := s.client.Status()
	h := ha.Health{Connected: st.State == zookeeper.Connected, LastContact: st.LastContact, State: st.State.String()}
	switch {
	case h.Connected:
	case st.Err == nil:
		h.Detail = "ZooKeeper: connecting"
	case errors.Is(st.Err, zookeeper.ErrClosed):
		h.Detail = "ZooKeeper: closed"
	default:
		h.Detail = "ZooKeeper cannot be reached: " + st.Err.Error()
	}
	return h
}
