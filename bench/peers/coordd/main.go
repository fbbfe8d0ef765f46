// Command coordd measures this module's election as the others are measured.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coordd/coordd/bench/peers/internal/contest"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/zookeeper"
)

func main() {
	contest.Main(contest.Peer{
		Name: "coordd", Version: "of this tree", TTL: contest.ZooKeeperTTL,
		Serve: contest.ServeZooKeeper, New: newContender, Requests: contest.ZooKeeperRequests,
		Delete: contest.DeleteLowest("/latch"),
	})
}

type contender struct {
	elector *election.Elector
	stop    context.CancelFunc
	running sync.WaitGroup
	ended   chan error
	lost    <-chan struct{}
}

func newContender(ctx context.Context, endpoint, id string, ttl time.Duration) (contest.Contender, error) {
	client, err := zookeeper.New(zookeeper.Config{Servers: []string{endpoint}, SessionTimeout: ttl})
	if err != nil {
		return nil, err
	}
	driver, err := zk.New(zk.Config{Client: client, Latch: "/latch"})
	if err != nil {
		return nil, err
	}
	c := &contender{}
	c.elector, err = election.New(election.Config{ID: id, Driver: driver, StopGrace: 200 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.running.Go(func() { _ = client.Run(ctx) })
	return c, nil
}

func (c *contender) Campaign(ctx context.Context) error {
	leads := make(chan (<-chan struct{}), 1)
	c.ended = make(chan error, 1)
	c.running.Go(func() {
		c.ended <- c.elector.Campaign(ctx, election.ContenderFunc(func(ctx context.Context, _ *election.Term) error {
			leads <- ctx.Done()
			<-ctx.Done()
			return nil
		}))
	})
	select {
	case c.lost = <-leads:
		return nil
	case err := <-c.ended:
		return err
	}
}

func (c *contender) Lost() <-chan struct{} { return c.lost }

func (c *contender) Resign(context.Context) error {
	c.elector.Resign()
	if err := <-c.ended; err != nil && !errors.Is(err, election.ErrResigned) {
		return err
	}
	return nil
}

func (c *contender) Close() {
	c.elector.Resign()
	c.stop()
	c.running.Wait()
}
