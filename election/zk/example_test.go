package zk_test

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// A service that acts only while it leads, against a server inside the process.
// With a real ensemble, leave Dial out.
func Example() {
	server := zookeepertest.NewFake(zookeepertest.FakeConfig{})
	defer server.Close()
	client, err := zookeeper.New(zookeeper.Config{Servers: []string{"127.0.0.1:2181"}, Dial: server.DialContext})
	if err != nil {
		fmt.Println(err)
		return
	}
	clientCtx, stopClient := context.WithCancel(context.Background())
	defer stopClient()
	clientEnded := make(chan error, 1)
	go func() { clientEnded <- client.Run(clientCtx) }()

	driver, err := zk.New(zk.Config{Client: client, Latch: "/svc/latch", Leaders: "/svc/leader"})
	if err != nil {
		fmt.Println(err)
		return
	}
	elector, err := election.New(election.Config{ID: "node-1", Driver: driver})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	err = elector.Run(ctx, election.ContenderFunc(func(ctx context.Context, t *election.Term) error {
		if err := t.Publish(ctx, leader.Info{Address: "http://127.0.0.1:8080"}); err != nil {
			return err
		}
		latch, _ := server.Node("/svc/latch")
		fmt.Println("contenders:", len(latch.Children), "phase:", elector.Status().Phase)
		stop() // as a signal would
		<-ctx.Done()
		return nil
	}))
	fmt.Println("Run:", err)
	latch, _ := server.Node("/svc/latch")
	fmt.Println("contenders:", len(latch.Children))

	stopClient()
	<-clientEnded

	// Output:
	// contenders: 1 phase: ready
	// Run: context canceled
	// contenders: 0
}
