package embedded_test

import (
	"context"
	"fmt"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/txn"
)

// Two participants share one backend. When the first one dies, the second leads,
// and reads what the first one wrote.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	backend, err := embedded.New(embedded.Config{SessionTimeout: 100 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 2)
	lead := func(id string) (*embedded.Participant, election.Tenure) {
		p := backend.Participant(id)
		go func() { ended <- p.Run(ctx) }()
		tenure, err := p.Election().Campaign(ctx, election.Candidate{ID: id, StopGrace: 10 * time.Millisecond})
		if err != nil {
			panic(err)
		}
		return p, tenure
	}

	first, term := lead("node-1")
	err = first.Store().Commit(ctx, term.Guard(), txn.Op{Kind: txn.Create, Path: "greeting", Data: []byte("hello")})
	fmt.Println("node-1 wrote:", err)
	first.Kill()

	second, next := lead("node-2")
	data, err := second.Store().Get(ctx, next.Guard(), "greeting")
	fmt.Printf("node-2 reads: %s, %v\n", data, err)
	fmt.Println("epoch grew:", next.Guard().Epoch() > term.Guard().Epoch())

	cancel()
	<-ended
	<-ended
	// Output:
	// node-1 wrote: <nil>
	// node-2 reads: hello, <nil>
	// epoch grew: true
}
