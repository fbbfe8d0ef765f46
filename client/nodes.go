package client

import (
	"github.com/coordd/coordd/retrieval"
)

// Retrieval tells where the leader is; *retrieval.Retriever does, whose Run must be
// active. Whichever component it follows, leader.Dispatcher or leader.RESTServer, its
// Address is a node that can be asked everything.
type Retrieval interface {
	// State returns what is known of the leader, and a channel that is closed when that
	// changes. It does not block.
	State() (s retrieval.State, changed <-chan struct{})
}

var _ Retrieval = (*retrieval.Retriever)(nil)

// target is a node that is asked.
type target struct {
	address string
	// index is where it stands among the addresses of the configuration, -1 for the
	// leader that was retrieved.
	index int
}

// targets returns whom to ask, in their order: the leader, if it is retrieved, and then
// the others, beginning with the one that answered last. changed is closed when there
// may be another leader, and nil without retrieval.
func (c *Client) targets() (all []target, changed <-chan struct{}) {
	if c.cfg.Retrieval != nil {
		var s retrieval.State
		s, changed = c.cfg.Retrieval.State()
		// While the backend is away, the leader that was known last probably goes on.
		if base, err := baseURL(s.Info.Address); err == nil {
			all = append(all, target{address: base, index: -1})
		}
	}
	first := int(c.preferred.Load())
	for i := range c.addresses {
		at := (first + i) % len(c.addresses)
		all = append(all, target{address: c.addresses[at], index: at})
	}
	return all, changed
}
