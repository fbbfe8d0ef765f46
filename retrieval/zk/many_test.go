package zk

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

const many = 10_000

// crowd is many who follow one leader, all at once.
type crowd struct {
	mu     sync.Mutex
	newest map[int]leader.Epoch
}

func (c *crowd) hear(t *testing.T, i int, info leader.Info) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if info.Epoch < c.newest[i] {
		t.Errorf("listener %d heard of epoch %d after %d", i, info.Epoch, c.newest[i])
	}
	c.newest[i] = info.Epoch
}

// wantAll fails unless all know the epoch.
func (c *crowd) wantAll(t *testing.T, want leader.Epoch) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	behind := 0
	for i := range many {
		if c.newest[i] != want {
			behind++
		}
	}
	if behind > 0 {
		t.Errorf("%d of %d listeners do not know epoch %d", behind, many, want)
	}
}

// replace publishes the leader of an epoch in the place of another one.
func replace(t *testing.T, s *zookeeper.Session, epoch leader.Epoch) {
	t.Helper()
	ops := []zookeeper.Op{zookeeper.CreateOp(node, published(t, epoch), zookeeper.Ephemeral)}
	if epoch > 1 {
		ops = append([]zookeeper.Op{zookeeper.DeleteOp(node, -1)}, ops...)
	}
	must(t, s.Multi(t.Context(), ops...))
}

// retrieve returns a Retriever over a driver of its own.
func retrieve(t *testing.T, c *zookeeper.Client) *retrieval.Retriever {
	t.Helper()
	driver, err := New(Config{Client: c, Leaders: leaders})
	must(t, err)
	r, err := retrieval.New(retrieval.Config{Driver: driver, Component: leader.Dispatcher})
	must(t, err)
	return r
}

// withCrowd runs f while start's calls run, each of which blocks until its context
// ends and returns its error.
func withCrowd(t *testing.T, s *stage, calls []func(ctx context.Context) error, f func()) {
	t.Helper()
	must(t, s.writer.EnsurePath(t.Context(), leaders, zookeeper.Persistent))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, len(calls))
	for _, call := range calls {
		go func() { ended <- call(ctx) }()
	}
	f()
	stop()
	for range calls {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v, want the context's error", err)
		}
	}
}

// alone runs f with a fake server and a client that nobody uses yet.
func alone(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	followingWith(t, func(*zookeeper.Client) (retrieval.Driver, error) { return idle{}, nil }, f)
}

// idle is a driver that does nothing.
type idle struct{}

func (idle) Follow(ctx context.Context, _ string, _ func(retrieval.Observation)) error {
	<-ctx.Done()
	return ctx.Err()
}

// However many listen to one Retriever, the server keeps one watch and answers one
// read for each leader.
func TestTenThousandListenersCostTheServerOneWatchAndOneReadEach(t *testing.T) {
	alone(t, func(t *testing.T, s *stage) {
		c := &crowd{newest: make(map[int]leader.Epoch)}
		r := retrieve(t, s.client)
		calls := []func(context.Context) error{r.Run}
		for i := range many {
			calls = append(calls, func(ctx context.Context) error {
				return r.ListenLeader(ctx, func(info leader.Info, leads bool) {
					if leads {
						c.hear(t, i, info)
					}
				})
			})
		}
		withCrowd(t, s, calls, func() {
			replace(t, s.writer, 1)
			c.wantAll(t, 1)
			reads := s.fake.Count(zookeepertest.OpGetData)
			for epoch := leader.Epoch(2); epoch <= 4; epoch++ {
				replace(t, s.writer, epoch)
				c.wantAll(t, epoch)
				s.wantWatch(t, "10,000 listen to one retriever")
			}
			if n := s.fake.Count(zookeepertest.OpGetData) - reads; n != 3 {
				t.Errorf("the server answered %d reads for 3 leaders, want 3", n)
			}
		})
	})
}

// However many Retrievers share a client, the server keeps one watch, through a
// reconnect too.
func TestTenThousandRetrieversOfOneClientCostTheServerOneWatch(t *testing.T) {
	alone(t, func(t *testing.T, s *stage) {
		c := &crowd{newest: make(map[int]leader.Epoch)}
		var calls []func(context.Context) error
		for i := range many {
			r := retrieve(t, s.client)
			calls = append(calls, r.Run, func(ctx context.Context) error {
				return r.ListenLeader(ctx, func(info leader.Info, leads bool) {
					if leads {
						c.hear(t, i, info)
					}
				})
			})
		}
		withCrowd(t, s, calls, func() {
			synctest.Wait()
			s.wantWatch(t, "nobody leads")
			replace(t, s.writer, 1)
			c.wantAll(t, 1)
			s.wantWatch(t, "10,000 retrievers know a leader")
			s.link.Drop()
			replace(t, s.writer, 2)
			awaitConnection(t, s.client)
			c.wantAll(t, 2)
			s.wantWatch(t, "they are connected again")
		})
	})
}

// awaitConnection returns when the client has a connection, and what waited for it in
// virtual time has happened.
func awaitConnection(t *testing.T, c *zookeeper.Client) {
	t.Helper()
	synctest.Wait()
	session, err := c.Session(t.Context())
	must(t, err)
	for {
		state, changed := session.State()
		if state == zookeeper.Connected {
			break
		}
		<-changed
	}
	_, _, err = session.Exists(t.Context(), leaders)
	must(t, err)
}
