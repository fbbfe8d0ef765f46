package zk_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// lead contends as id and has act called for each of its terms, until ctx ends.
func lead(ctx context.Context, ensemble zookeeper.Config, id string, act election.ContenderFunc) error {
	client, err := zookeeper.New(ensemble)
	if err != nil {
		return err
	}
	driver, err := zk.New(zk.Config{Client: client, Latch: "/billing/latch", Leaders: "/billing/leader"})
	if err != nil {
		return err
	}
	elector, err := election.New(election.Config{ID: id, Driver: driver})
	if err != nil {
		return err
	}
	return client.While(ctx, func(ctx context.Context) error { return elector.Run(ctx, act) })
}

// A service that acts only while it leads, against a server inside the process.
// With a real ensemble, leave Dial out.
func Example() {
	server := zookeepertest.NewFake(zookeepertest.FakeConfig{})
	defer server.Close()
	ensemble := zookeeper.Config{Servers: []string{"127.0.0.1:2181"}, Dial: server.DialContext}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	err := lead(ctx, ensemble, "node-1", func(ctx context.Context, t *election.Term) error {
		if err := t.Publish(ctx, leader.Info{Address: "http://127.0.0.1:8080"}); err != nil {
			return err
		}
		latch, _ := server.Node("/billing/latch")
		fmt.Println("contenders:", len(latch.Children))
		stop() // as a signal would
		<-ctx.Done()
		return nil
	})
	fmt.Println("ended:", err)
	latch, _ := server.Node("/billing/latch")
	fmt.Println("contenders:", len(latch.Children))

	// Output:
	// contenders: 1
	// ended: context canceled
	// contenders: 0
}

// A worker whose results stand in ZooKeeper. Each write checks, in the same
// transaction, that the term still leads; when it does not, nothing is written.
func Example_fencedWrite() {
	server := zookeepertest.NewFake(zookeepertest.FakeConfig{})
	defer server.Close()
	ensemble := zookeeper.Config{Servers: []string{"127.0.0.1:2181"}, Dial: server.DialContext}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	err := lead(ctx, ensemble, "node-1", func(ctx context.Context, t *election.Term) error {
		guard, err := zk.GuardOf(t.Guard())
		if err != nil {
			return election.Fatal(err)
		}
		record := func(ctx context.Context, invoice string) error {
			data := []byte("closed in epoch " + t.Epoch().String())
			return guard.Commit(ctx, zookeeper.CreateOp("/billing/"+invoice, data, zookeeper.Persistent))
		}
		fmt.Println("invoice-1:", record(ctx, "invoice-1"))

		// An operator removes the candidacy, so that others lead, and this process acts
		// as if it had not heard of it: it writes without the term's context.
		if err := guard.Session().Delete(ctx, guard.Path(), -1); err != nil {
			return err
		}
		err = record(context.WithoutCancel(ctx), "invoice-2")
		fmt.Println("invoice-2, fenced:", errors.Is(err, leader.ErrFenced))
		stop()
		return err
	})
	fmt.Println("ended:", err)
	_, written := server.Node("/billing/invoice-1")
	fmt.Println("invoice-1 written:", written)
	_, written = server.Node("/billing/invoice-2")
	fmt.Println("invoice-2 written:", written)

	// Output:
	// invoice-1: <nil>
	// invoice-2, fenced: true
	// ended: context canceled
	// invoice-1 written: true
	// invoice-2 written: false
}
