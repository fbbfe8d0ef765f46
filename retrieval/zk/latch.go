package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"

	"github.com/google/uuid"

	"github.com/coordd/coordd/internal/latch"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/zookeeper"
)

// LatchConfig says which latch to follow.
type LatchConfig struct {
	// Client provides the session; its Run must be active.
	Client *zookeeper.Client
	// Latch is the path whose children are the contenders, for example
	// "/billing/latch".
	Latch string
	// EpochFloor is added to every epoch. Give the contenders' (see election/zk); zero
	// for Curator's.
	EpochFloor leader.Epoch
}

// Latch follows the first contender of a latch in ZooKeeper, which may be one of
// package election/zk or of Curator's LeaderLatch: nothing needs to be published. It
// leads, or will as soon as it has had that confirmed.
//
// An Info has the contender's participant ID, which Curator's may leave empty; as
// epoch and index the transaction that made its node; as session ID the node's UUID;
// and as Since when it began to contend, by the server's clock. It has no address and
// no phase. An Elector of package election acts under another session ID, which only
// what it publishes tells; the epoch is the same.
type Latch struct {
	cfg LatchConfig
}

var _ retrieval.Driver = (*Latch)(nil)

// NewLatch returns a driver. It does no I/O.
func NewLatch(cfg LatchConfig) (*Latch, error) {
	if cfg.Client == nil {
		return nil, errors.New("retrieval: no ZooKeeper client is configured")
	}
	if !isCleanPath(cfg.Latch) {
		return nil, fmt.Errorf("retrieval: the latch %q is not a clean absolute path such as /billing/latch", cfg.Latch)
	}
	if cfg.EpochFloor < 0 {
		return nil, fmt.Errorf("retrieval: the epoch floor %d is negative", cfg.EpochFloor)
	}
	return &Latch{cfg: cfg}, nil
}

// Follow reports who is first at the latch until ctx ends; component is only what the
// Infos say. See retrieval.Driver.
func (l *Latch) Follow(ctx context.Context, component string, observe func(retrieval.Observation)) error {
	return follow(ctx, l.cfg.Client, component, func(ctx context.Context, s *zookeeper.Session) (retrieval.Observation, <-chan struct{}, error) {
		return l.look(ctx, s, component)
	}, observe)
}

// look finds the first contender. It keeps one watch: on the first one's node, on the
// list while nobody contends, or on the latch while there is none. As sequences only
// grow, nobody comes before the first one, so the others may come and go unseen. Where
// somebody comes under a look, the watch that it has left by then stays until the next
// change of the list, and wakes nobody.
func (l *Latch) look(ctx context.Context, s *zookeeper.Session, component string) (retrieval.Observation, <-chan struct{}, error) {
	for {
		children, _, err := s.Children(ctx, l.cfg.Latch)
		switch order := latch.Contenders(children); {
		case errors.Is(err, zookeeper.ErrNoNode):
			none, fired, err := l.missing(ctx, s)
			if err != nil || fired != nil {
				return none, fired, err
			}
		case err != nil:
			return retrieval.Observation{}, nil, err
		case len(order) == 0:
			none, fired, err := l.empty(ctx, s)
			if err != nil || fired != nil {
				return none, fired, err
			}
		default:
			data, stat, fired, err := s.WatchData(ctx, l.cfg.Latch+"/"+order[0])
			if err == nil {
				return l.first(component, order[0], data, stat), fired, nil
			}
			if !errors.Is(err, zookeeper.ErrNoNode) {
				return retrieval.Observation{}, nil, err
			} // it has left since: another is first
		}
	}
}

// empty watches the list. Without a watch and without an error somebody has come.
func (l *Latch) empty(ctx context.Context, s *zookeeper.Session) (retrieval.Observation, <-chan struct{}, error) {
	children, stat, fired, err := s.WatchChildren(ctx, l.cfg.Latch)
	switch {
	case errors.Is(err, zookeeper.ErrNoNode):
		return retrieval.Observation{}, nil, nil
	case err != nil:
		return retrieval.Observation{}, nil, err
	case len(latch.Contenders(children)) > 0:
		return retrieval.Observation{}, nil, nil
	}
	return retrieval.Observation{Status: retrieval.StatusNone, Index: stat.Pzxid}, fired, nil
}

// missing watches for the latch. Without a watch and without an error it has come.
func (l *Latch) missing(ctx context.Context, s *zookeeper.Session) (retrieval.Observation, <-chan struct{}, error) {
	_, exists, fired, err := s.Watch(ctx, l.cfg.Latch)
	if err != nil || exists {
		return retrieval.Observation{}, nil, err
	}
	none, current, err := absent(ctx, s, l.cfg.Latch, fired)
	if err != nil || !current {
		return retrieval.Observation{}, nil, err
	}
	return none, fired, nil
}

func (l *Latch) first(component, name string, data []byte, stat zookeeper.Stat) retrieval.Observation {
	return retrieval.Observation{Status: retrieval.StatusKnown, Index: stat.Czxid, Info: leader.Info{
		Component: component, ID: string(data), SessionID: sessionOf(path.Join(l.cfg.Latch, name), stat.Czxid),
		Epoch: l.cfg.EpochFloor + leader.Epoch(stat.Czxid), Since: stat.Created.UTC(),
	}}
}

// sessionOf names the term of a latch node by its UUID, or by one made of its path
// and transaction where its name has none.
func sessionOf(node string, czxid int64) leader.SessionID {
	if mark, ok := latch.UUID(path.Base(node)); ok {
		return leader.SessionID(mark)
	}
	return leader.SessionID(uuid.NewSHA1(uuid.NameSpaceURL, []byte("zookeeper:"+node+"#"+strconv.FormatInt(czxid, 10))).String())
}
