package zk_test

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/retrieval/zk"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// A client that follows a leader, against a server inside the process. With a real
// ensemble, leave Dial out.
func Example() {
	server := zookeepertest.NewFake(zookeepertest.FakeConfig{})
	defer server.Close()
	client, err := zookeeper.New(zookeeper.Config{Servers: []string{"127.0.0.1:2181"}, Dial: server.DialContext})
	if err != nil {
		fmt.Println(err)
		return
	}
	driver, err := zk.New(zk.Config{Client: client, Leaders: "/svc/leader"})
	if err != nil {
		fmt.Println(err)
		return
	}
	retriever, err := retrieval.New(retrieval.Config{Driver: driver, Component: leader.Dispatcher})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- client.Run(ctx) }()
	go func() { ended <- retriever.Run(ctx) }()

	publish(ctx, client) // as election/zk does when a leader is ready
	state, err := retriever.WaitKnown(ctx)
	fmt.Println(state.Info.ID, state.Info.Address, err)

	stop()
	<-ended
	<-ended

	// Output:
	// node-1 http://127.0.0.1:8080 <nil>
}

// The leader of a latch on which services of any language contend, be it with Curator:
// nothing needs to be published. Only who else leads is announced.
func ExampleLatch() {
	server := zookeepertest.NewFake(zookeepertest.FakeConfig{})
	defer server.Close()
	client, err := zookeeper.New(zookeeper.Config{Servers: []string{"127.0.0.1:2181"}, Dial: server.DialContext})
	if err != nil {
		fmt.Println(err)
		return
	}
	driver, err := zk.NewLatch(zk.LatchConfig{Client: client, Latch: "/billing/latch"})
	if err != nil {
		fmt.Println(err)
		return
	}
	retriever, err := retrieval.New(retrieval.Config{Driver: driver, Component: "billing"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- client.Run(ctx) }()
	go func() { ended <- retriever.Run(ctx) }()

	_ = retriever.ListenLeader(ctx, func(info leader.Info, leads bool) {
		if leads {
			fmt.Println(info.ID, "leads")
			stop()
			return
		}
		fmt.Println("nobody contends")
		contend(ctx, client) // as LeaderLatch does
	})
	<-ended
	<-ended

	// Output:
	// nobody contends
	// java-1 leads
}

func contend(ctx context.Context, client *zookeeper.Client) {
	session, err := client.Session(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, _, err := session.CreateProtected(ctx, "/billing/latch", "latch-", []byte("java-1")); err != nil {
		fmt.Println(err)
	}
}

func publish(ctx context.Context, client *zookeeper.Client) {
	info := leader.Info{
		Component: leader.Dispatcher, ID: "node-1", Address: "http://127.0.0.1:8080",
		SessionID: leader.NewSessionID(), Epoch: 7, Phase: leader.PhaseReady,
	}
	data, err := info.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := client.Session(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := session.EnsurePath(ctx, "/svc/leader", zookeeper.Persistent); err != nil {
		fmt.Println(err)
		return
	}
	if err := session.Create(ctx, "/svc/leader/"+info.Component, data, zookeeper.Ephemeral); err != nil {
		fmt.Println(err)
	}
}
