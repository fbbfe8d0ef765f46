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
	// Tick is the servers' tickTime. Zero means that of the Client's configuration;
	// zero there means unknown, which costs a part of the lease.
	Tick time.Duration
	// OnDisconnect is Ride by default.
	OnDisconnect DisconnectPolicy
	// EpochFloor is added to every epoch; needed when the ensemble was rebuilt and
	// counts from below the epochs that were handed out before. Zero by default.
	EpochFloor leader.Epoch
	// Logger gets messages; nil for none.
	Logger hclog.Logger
	// OnRenewed is told of the renewals of a term's lease, the first of them when it
	// is granted; nil for nobody. It is called on a goroutine of its own, one call at
	// a time; renewals during a call are not told. A call that blocks delays the
	// release of leadership, and neither renewals nor the end of the term.
	OnRenewed func(Renewal)
}

// Driver contends at a latch in ZooKeeper.
type Driver struct {
	cfg  Config
	log  hclog.Logger
	wall func() time.Time // the wall clock, which the lease's end is held against
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
	if cfg.Tick == 0 {
		cfg.Tick = cfg.Client.Tick()
	}
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Driver{cfg: cfg, log: log, wall: time.Now}, nil
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
			_ = s.Close() // the client reports
		}
		return nil, fmt.Errorf("election: join %s: %w", d.cfg.Latch, err)
	}
	k := candidacy{d: d, s: s, who: c, guard: s.Guard(node), stat: stat}
	err = checkSequence(d.cfg.Latch, path.Base(node))
	if err == nil {
		var t *tenure
		if t, err = k.await(ctx); err == nil {
			return t, nil
		}
	}
	d.withdraw(ctx, s, k.guard.Path())
	return nil, err
}

// vanished closes the session of a contender whose node was deleted by somebody
// else: nothing of it may stay behind.
func (d *Driver) vanished(s *zookeeper.Session, node string) error {
	d.log.Warn("own latch node was deleted by somebody else, closing the session", "node", node)
	_ = s.Close() // the client reports
	return errAgain
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
			_ = s.Close() // the client reports
		}
	}
}
