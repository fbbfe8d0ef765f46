package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
)

// DisconnectPolicy says what a leader does when its connection is lost.
type DisconnectPolicy int

// The policies.
const (
	// Ride goes on to the end of the lease: most losses are over before.
	Ride DisconnectPolicy = iota
	// StepDown ends the term at once.
	StepDown
)

// withdrawWithin bounds how long a contender that was told to stop tries to
// remove its node before it closes its session instead.
const withdrawWithin = 3 * time.Second

// Config says where and how to contend.
type Config struct {
	// Client provides the session. Its Run must be active; a Driver closes the
	// current session when something of a candidacy cannot be removed otherwise.
	Client *zookeeper.Client
	// Latch is the path whose children are the contenders, for example
	// "/coordd/default/latch". Curator's LeaderLatch can use the same.
	Latch string
	// Leaders is the path under which leaders publish themselves, for example
	// "/coordd/default/leader". Empty when nothing is published.
	Leaders string
	// Tick is the servers' tickTime; zero when unknown, which costs a part of the
	// lease.
	Tick time.Duration
	// OnDisconnect is Ride by default.
	OnDisconnect DisconnectPolicy
	// EpochFloor is added to every epoch; needed when the ensemble was rebuilt and
	// counts from below the epochs that were handed out before. Zero by default.
	EpochFloor leader.Epoch
	// Logger gets messages; nil for none.
	Logger hclog.Logger
}

// Driver contends at a latch in ZooKeeper.
type Driver struct {
	cfg Config
	log hclog.Logger
}

var _ election.Driver = (*Driver)(nil)

// New returns a driver. It does no I/O.
func New(cfg Config) (*Driver, error) {
	if cfg.Client == nil {
		return nil, errors.New("election: no ZooKeeper client is configured")
	}
	for _, p := range []string{cfg.Latch, cfg.Leaders} {
		if p != "" && (!strings.HasPrefix(p, "/") || p != path.Clean(p)) {
			return nil, fmt.Errorf("election: %q is not a clean absolute path", p)
		}
	}
	if cfg.Latch == "" || cfg.Latch == "/" {
		return nil, errors.New("election: no latch path is configured")
	}
	if cfg.EpochFloor < 0 {
		return nil, fmt.Errorf("election: epoch floor %d is negative", cfg.EpochFloor)
	}
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Driver{cfg: cfg, log: log}, nil
}

// errAgain ends one session's contest; Campaign goes on with the next session.
var errAgain = errors.New("contend again in another session")

// Campaign contends until the candidate leads. See election.Driver.
func (d *Driver) Campaign(ctx context.Context, c election.Candidate) (election.Tenure, error) {
	for {
		s, err := d.cfg.Client.Session(ctx)
		if err != nil {
			return nil, err
		}
		t, err := d.contend(ctx, s, c)
		switch {
		case err == nil:
			return t, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errAgain), s.Err() != nil:
			d.log.Debug("contending again", "latch", d.cfg.Latch, "reason", err)
			<-s.Done()
		default:
			return nil, err
		}
	}
}

// contend makes one candidacy in one session and sees it through. Unless it
// returns a tenure, nothing of the candidacy remains, or the session is closed.
func (d *Driver) contend(ctx context.Context, s *zookeeper.Session, c election.Candidate) (election.Tenure, error) {
	node, stat, err := s.CreateProtected(ctx, d.cfg.Latch, latchSuffix, []byte(c.ID))
	if err != nil {
		if errors.Is(err, zookeeper.ErrUnknownOutcome) {
			s.Close()
		}
		return nil, fmt.Errorf("election: join %s: %w", d.cfg.Latch, err)
	}
	err = checkSequence(d.cfg.Latch, path.Base(node))
	if err == nil {
		var t *tenure
		t, err = d.await(ctx, s, node, stat, c)
		if err == nil {
			return t, nil
		}
	}
	d.withdraw(ctx, s, node)
	return nil, err
}

// await blocks until the node leads. What an event says is only a hint: before
// the grant the list is read again, the node's owner is compared, and a guarded
// check is acknowledged by a quorum.
func (d *Driver) await(ctx context.Context, s *zookeeper.Session, node string, stat zookeeper.Stat, c election.Candidate) (*tenure, error) {
	for {
		before, err := d.predecessor(ctx, s, node)
		if err != nil {
			return nil, err
		}
		own, exists, ownFired, err := s.Watch(ctx, node)
		if err != nil {
			return nil, err
		}
		if !exists || own.EphemeralOwner != s.ID() {
			return nil, d.vanished(s, node)
		}
		if before == "" {
			return d.grant(ctx, s, node, stat, c)
		}
		_, exists, beforeFired, err := s.Watch(ctx, before)
		if err != nil {
			return nil, err
		}
		if !exists {
			continue
		}
		select {
		case <-beforeFired:
		case <-ownFired:
		case <-s.Done():
			return nil, errAgain
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// predecessor returns the contender just before node, "" when node is the first.
func (d *Driver) predecessor(ctx context.Context, s *zookeeper.Session, node string) (string, error) {
	children, _, err := s.Children(ctx, d.cfg.Latch)
	if err != nil && !errors.Is(err, zookeeper.ErrNoNode) {
		return "", err
	}
	order := contenders(children)
	switch i := slices.Index(order, path.Base(node)); i {
	case -1:
		return "", d.vanished(s, node)
	case 0:
		return "", nil
	default:
		return d.cfg.Latch + "/" + order[i-1], nil
	}
}

// vanished closes the session of a contender whose node was deleted by somebody
// else: nothing of it may stay behind.
func (d *Driver) vanished(s *zookeeper.Session, node string) error {
	d.log.Warn("own latch node was deleted by somebody else, closing the session", "node", node)
	s.Close()
	return errAgain
}

// grant confirms leadership and starts the tenure.
func (d *Driver) grant(ctx context.Context, s *zookeeper.Session, node string, stat zookeeper.Stat, c election.Candidate) (*tenure, error) {
	guard := s.Guard(node)
	// A steady lease holds for 5T/8 from a renewal to the next; a grace of more than
	// T/4 would leave too little of it.
	if most := s.Timeout() / 4; c.StopGrace > most {
		return nil, fmt.Errorf("election: stop grace %v is more than %v, a quarter of the session time-out, and leaves too little of the lease; lower the grace or raise the time-out",
			c.StopGrace, most)
	}
	lease := zookeeper.NewLease(s.Timeout(), d.cfg.Tick)
	for {
		sent := time.Now()
		err := guard.Check(ctx)
		switch {
		case err == nil:
			lease.Renewed(zookeeper.Beat{Sent: sent, Answered: time.Now()}, s.Pulse())
			if time.Until(lease.Deadline()) < c.StopGrace+lease.Period() {
				// After a slow round trip, or a long silence: it grows with every check.
				select {
				case <-time.After(lease.Period() / 4):
					continue
				case <-s.Done():
					return nil, errAgain
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			return d.begin(ctx, s, guard, leader.Epoch(stat.Czxid)+d.cfg.EpochFloor, lease, c)
		case errors.Is(err, leader.ErrFenced):
			return nil, d.vanished(s, node)
		case !errors.Is(err, zookeeper.ErrUnknownOutcome) || ctx.Err() != nil:
			return nil, err
		}
	}
}

// withdraw removes a candidacy that came to nothing.
func (d *Driver) withdraw(ctx context.Context, s *zookeeper.Session, node string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawWithin)
	defer cancel()
	for s.Err() == nil {
		err := s.Delete(ctx, node, -1)
		if err == nil || errors.Is(err, zookeeper.ErrNoNode) {
			return
		}
		if !errors.Is(err, zookeeper.ErrUnknownOutcome) || ctx.Err() != nil {
			s.Close()
		}
	}
}
