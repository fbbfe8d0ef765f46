package retrieval_test

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// A client that asks for the leader and then follows it. With a real backend, the
// driver comes from retrieval/zk or ha/embedded.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	retriever, err := retrieval.New(retrieval.Config{Driver: fixed{}, Component: leader.Dispatcher})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- retriever.Run(ctx) }()

	state, err := retriever.WaitKnown(ctx)
	fmt.Println(state.Info.ID, state.Info.Address, err)

	err = retriever.Listen(ctx, retrieval.ListenerFunc(func(s retrieval.State) {
		fmt.Println(s.Status, s.Info.Epoch)
		stop()
	}))
	fmt.Println("Listen:", err)
	fmt.Println("Run:", <-ended)

	// Output:
	// node-1 http://127.0.0.1:8080 <nil>
	// known 7
	// Listen: context canceled
	// Run: context canceled
}

// Who uses a leader wants to hear of other leaders, and not of each time that the
// backend is out of reach.
func ExampleRetriever_ListenLeader() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	retriever, err := retrieval.New(retrieval.Config{Driver: fixed{}, Component: leader.Dispatcher})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- retriever.Run(ctx) }()

	err = retriever.ListenLeader(ctx, func(info leader.Info, leads bool) {
		if !leads {
			fmt.Println("nobody leads")
			return
		}
		fmt.Println("connect to", info.Address, "in epoch", info.Epoch)
		stop()
	})
	fmt.Println("ListenLeader:", err)
	<-ended

	// Output:
	// connect to http://127.0.0.1:8080 in epoch 7
	// ListenLeader: context canceled
}

// fixed is the driver of a world whose leader never changes.
type fixed struct{}

func (fixed) Follow(ctx context.Context, component string, observe func(retrieval.Observation)) error {
	observe(retrieval.Observation{Status: retrieval.StatusKnown, Index: 7, Info: leader.Info{
		Component: component, ID: "node-1", Address: "http://127.0.0.1:8080",
		SessionID: "3f2c8a52-5f0e-4c53-9d1e-0d3a5a3c9a11", Epoch: 7, Phase: leader.PhaseReady,
	}})
	<-ctx.Done()
	return ctx.Err()
}
