package zookeeper_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// Writes that only the owner of a node can make, against a server inside the
// process. With a real one, leave Dial out.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server := zookeepertest.NewFake(zookeepertest.FakeConfig{})
	defer server.Close()

	session, err := zookeeper.Open(ctx, zookeeper.Config{
		Servers: []string{"127.0.0.1:2181"},
		Dial:    server.DialContext,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()

	node, _, err := session.CreateProtected(ctx, "/owners", "owner-", []byte("me"))
	if err != nil {
		fmt.Println(err)
		return
	}
	guard := session.Guard(node)
	fmt.Println("while the node exists:", guard.Commit(ctx, zookeeper.CreateOp("/a", nil, zookeeper.Persistent)))

	if err := session.Delete(ctx, node, -1); err != nil { // as an operator might
		fmt.Println(err)
		return
	}
	err = guard.Commit(ctx, zookeeper.CreateOp("/b", nil, zookeeper.Persistent))
	fmt.Println("afterwards, fenced:", errors.Is(err, zookeeper.ErrFenced))
	_, exists, err := session.Exists(ctx, "/b")
	fmt.Println("written:", exists, err)

	// Output:
	// while the node exists: <nil>
	// afterwards, fenced: true
	// written: false <nil>
}

// A Client keeps one live session, for programs that outlive their sessions.
func ExampleClient() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	server := zookeepertest.NewFake(zookeepertest.FakeConfig{})
	defer server.Close()

	client, err := zookeeper.New(zookeeper.Config{Servers: []string{"127.0.0.1:2181"}, Dial: server.DialContext})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()

	first, err := client.Session(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	server.ExpireSession(first.ID())
	<-first.Done()
	fmt.Println("expired:", errors.Is(first.Err(), zookeeper.ErrExpired))
	next, err := client.Session(ctx)
	fmt.Println("another:", next.ID() != first.ID(), err)

	stop()
	fmt.Println("Run:", <-ended)

	// Output:
	// expired: true
	// another: true <nil>
	// Run: context canceled
}
