package rpc_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/coordd/coordd/rpc"
)

// counter is a component: its state belongs to its endpoint.
type counter struct {
	endpoint *rpc.Endpoint
	n        int
}

// Add may be called by anybody.
func (c *counter) Add(ctx context.Context, n int) (int, error) {
	return rpc.Ask(ctx, c.endpoint, func() (int, error) {
		c.n += n
		return c.n, nil
	})
}

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	endpoint, err := rpc.NewEndpoint(rpc.EndpointConfig{Name: "counter"})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := &counter{endpoint: endpoint}
	if _, err := c.Add(ctx, 1); errors.Is(err, rpc.ErrNotStarted) {
		fmt.Println(err)
	}
	ended := make(chan error)
	go func() { ended <- endpoint.Run(ctx) }()
	for {
		if sum, err := c.Add(ctx, 2); err == nil {
			fmt.Println("sum", sum)
			break
		}
	}
	cancel()
	fmt.Println(<-ended)
	_, err = c.Add(context.Background(), 1)
	fmt.Println(err)
	// Output:
	// endpoint counter: component has not started
	// sum 2
	// context canceled
	// endpoint counter: component has stopped
}
