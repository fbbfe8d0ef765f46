package zk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
)

// Contender is one participant at a latch as everybody can see it, whether it is
// this package's or Curator's.
type Contender struct {
	// ID is the name that the participant wrote. Curator's may be empty.
	ID string
	// Node is the path of its latch node.
	Node string
	// Epoch is the node's Czxid: the epoch of the participant's term when it leads,
	// without Config.EpochFloor.
	Epoch leader.Epoch
	// Since is when it began to contend, by the server's clock.
	Since time.Time
	// Session is the ZooKeeper session that keeps the node.
	Session int64
}

// Contenders returns who contends at a latch, in order: the first leads, or will
// as soon as it has had that confirmed. It reads only, blocks while the connection
// is lost, and costs one request for each contender and one more. A latch that
// does not exist has no contenders. Errors: those of zookeeper.Session.Get without
// ErrNoNode, naming the path.
func Contenders(ctx context.Context, s *zookeeper.Session, latch string) ([]Contender, error) {
	names, err := list(ctx, s, latch)
	if err != nil {
		return nil, err
	}
	var order []Contender
	for _, name := range names {
		c, exists, err := contender(ctx, s, latch+"/"+name)
		if err != nil {
			return nil, err
		}
		if exists { // else it left meanwhile
			order = append(order, c)
		}
	}
	return order, nil
}

// First returns the first of the contenders, and whether there is one. It costs two
// requests however many contend. Errors and blocking: as Contenders.
//
// To learn of the next change watch its Node: nobody can come before it, so it is
// first until that node is gone.
func First(ctx context.Context, s *zookeeper.Session, latch string) (Contender, bool, error) {
	for {
		names, err := list(ctx, s, latch)
		if err != nil || len(names) == 0 {
			return Contender{}, false, err
		}
		c, exists, err := contender(ctx, s, latch+"/"+names[0])
		if err != nil || exists {
			return c, exists, err
		}
	}
}

// list returns the names of the contenders in their order.
func list(ctx context.Context, s *zookeeper.Session, latch string) ([]string, error) {
	children, _, err := s.Children(ctx, latch)
	if err != nil && !errors.Is(err, zookeeper.ErrNoNode) {
		return nil, fmt.Errorf("election: list the contenders of %s: %w", latch, err)
	}
	return contenders(children), nil
}

// contender reads one contender, and whether it is still there.
func contender(ctx context.Context, s *zookeeper.Session, node string) (Contender, bool, error) {
	data, stat, err := s.Get(ctx, node)
	switch {
	case errors.Is(err, zookeeper.ErrNoNode):
		return Contender{}, false, nil
	case err != nil:
		return Contender{}, false, fmt.Errorf("election: read a contender: %w", err)
	}
	return Contender{
		ID: string(data), Node: node, Epoch: leader.Epoch(stat.Czxid),
		Since: stat.Created.UTC(), Session: stat.EphemeralOwner,
	}, true, nil
}
