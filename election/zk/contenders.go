package zk

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
)

// Contender is one participant at a latch and where it stands there, whether it is
// this package's or Curator's. Its Epoch is the Czxid of its node, to which a Driver
// adds its Config.EpochFloor.
type Contender struct {
	election.Participant
	// Node is the path of its latch node.
	Node string
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
		Participant: election.Participant{
			ID: string(data), Epoch: leader.Epoch(stat.Czxid), Since: stat.Created.UTC(), Foreign: isForeign(path.Base(node)),
		},
		Node: node, Session: stat.EphemeralOwner,
	}, true, nil
}
