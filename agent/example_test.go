package agent_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/leader"
)

// An agent inside another program: here one without ZooKeeper, which is a cluster
// of its own.
func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	a, err := agent.New(agent.Config{ID: "node-1", Dev: true, Listener: listener})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()

	c, err := client.New(client.Config{Addresses: []string{listener.Addr().String()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	l, err := c.Leader(ctx, leader.Dispatcher)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Leader.ID, l.Leader.Phase != "")

	cancel()
	fmt.Println(<-ended)
	// Output:
	// node-1 true
	// <nil>
}
