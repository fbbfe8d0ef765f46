// Command golock measures the Lock of go-zookeeper.
package main

import (
	"context"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/bench/peers/internal/contest"
)

func main() {
	contest.Main(contest.Peer{
		Name: "go-zookeeper-lock", Version: contest.ModuleVersion("github.com/go-zookeeper/zk"), TTL: contest.ZooKeeperTTL,
		Serve: contest.ServeZooKeeper, New: newContender, Requests: contest.ZooKeeperRequests,
		Delete: contest.DeleteLowest("/lock"),
	})
}

type contender struct {
	session *rig.Bare
	lock    *zk.Lock
}

func newContender(ctx context.Context, endpoint, _ string, ttl time.Duration) (contest.Contender, error) {
	session, err := rig.Ensemble{Servers: []string{endpoint}, SessionTimeout: ttl}.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &contender{session: session, lock: zk.NewLock(session.Conn, "/lock", zk.WorldACL(zk.PermAll))}, nil
}

// Campaign blocks in Lock, which has no context: the end of the session ends it.
func (c *contender) Campaign(ctx context.Context) error {
	unhook := context.AfterFunc(ctx, c.session.Conn.Close)
	defer unhook()
	return c.lock.Lock()
}

// Lost is nothing that Lock knows of.
func (c *contender) Lost() <-chan struct{} { return nil }

func (c *contender) Resign(context.Context) error { return c.lock.Unlock() }

func (c *contender) Close() { c.session.Close() }
