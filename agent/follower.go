package agent

import (
	"context"
	"sync"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/web"
)

// follower is a retriever together with a signal of its changes.
type follower struct {
	retriever *retrieval.Retriever

	mu      sync.Mutex
	changed chan struct{}
}

var (
	_ web.Follower       = (*follower)(nil)
	_ retrieval.Listener = (*follower)(nil)
)

func newFollower(component string, d retrieval.Driver, log hclog.Logger) (*follower, error) {
	r, err := retrieval.New(retrieval.Config{Driver: d, Component: component, Logger: log.Named("retrieval")})
	if err != nil {
		return nil, err
	}
	return &follower{retriever: r, changed: make(chan struct{})}, nil
}

// Run follows until ctx ends.
func (f *follower) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.retriever.Run(ctx) })
	group.Go(func() error { return f.retriever.Listen(ctx, f) })
	return group.Wait()
}

// LeaderChanged implements retrieval.Listener.
func (f *follower) LeaderChanged(retrieval.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}

// Latest implements web.Follower.
func (f *follower) Latest() (retrieval.State, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.retriever.Current(), f.changed
}
