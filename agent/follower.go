package agent

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/web"
)

// follower is a retriever as package web sees it.
type follower struct {
	retriever *retrieval.Retriever
}

var _ web.Follower = (*follower)(nil)

func newFollower(component string, d retrieval.Driver, log hclog.Logger) (*follower, error) {
	r, err := retrieval.New(retrieval.Config{Driver: d, Component: component, Logger: log.Named("retrieval")})
	if err != nil {
		return nil, err
	}
	return &follower{retriever: r}, nil
}

// Run follows until ctx ends.
func (f *follower) Run(ctx context.Context) error { return f.retriever.Run(ctx) }

// Latest implements web.Follower.
func (f *follower) Latest() (retrieval.State, <-chan struct{}) { return f.retriever.State() }
