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
	// Chroot is put in front of every path; empty for none.
	Chroot string
	// Security is credentials and access control lists; the zero value for none.
	Security zookeeper.Security
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

// LatchPath returns the path at which those of the cluster below root contend.
func LatchPath(root string) string { return root + "/" + latchFolder }

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
		Servers: cfg.Servers, Chroot: cfg.Chroot, Security: cfg.Security,
		SessionTimeout: cfg.SessionTimeout, Tick: cfg.Tick, Dial: cfg.Dial, Logger: log.Named("zookeeper"),
	})
	if err != nil {
		return nil, err
	}
	leaders := cfg.Root + "/" + leadersFolder
	elections, err := electionzk.New(electionzk.Config{
		Client: client, Latch: LatchPath(cfg.Root), Leaders: leaders,
		EpochFloor: cfg.EpochFloor, Logger: log.Named("election"),
	})
	if err != nil {
		return nil, err
	}
	retrievals, err := retrievalzk.New(retrievalzk.Config{Client: client, Leaders: leaders, Logger: log.Named("retrieval")})
	if err != nil {
		return nil, err
	}
	return &Services{client: client, election: elections, retrieval: retrievals, store: newStore(cfg.Root)}, nil
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

// Peek returns a value of the store, by its path, outside of any term. What it finds
// may be old. It waits for a session. Errors: txn.ErrNotFound, ctx's, or what
// ZooKeeper answered.
func (s *Services) Peek(ctx context.Context, value string) ([]byte, error) {
	for {
		session, err := s.client.Session(ctx)
		if err != nil {
			return nil, storeError("peek", value, err)
		}
		data, _, err := session.Get(ctx, s.store.full(value))
		if errors.Is(err, zookeeper.ErrExpired) || errors.Is(err, zookeeper.ErrClosed) {
			continue // the next session answers
		}
		return data, storeError("peek", value, err)
	}
}

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
