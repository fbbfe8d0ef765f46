package zookeeper

import (
	"context"
	"sync"

	"github.com/go-zookeeper/zk"
)

// watches keeps at most one watch on a full path, however many ask: ZooKeeper's
// watches cannot be taken back through go-zookeeper, and each would stay in its
// memory until it fires.
type watches struct {
	mu     *sync.Mutex
	byPath map[string]*watch
}

// watch is fired once. It is armed when a server has confirmed it.
type watch struct {
	fired chan struct{}
	armed bool
}

func newWatches() watches {
	return watches{mu: new(sync.Mutex), byPath: make(map[string]*watch)}
}

// at returns the path's watch, made if necessary, and whether a server has
// confirmed it.
func (w watches) at(path string) (*watch, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.byPath[path]
	if one == nil {
		one = &watch{fired: make(chan struct{})}
		w.byPath[path] = one
	}
	return one, one.armed
}

func (w watches) arm(one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one.armed = true
}

func (w watches) fire(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.byPath[path]; one != nil {
		delete(w.byPath, path)
		close(one.fired)
	}
}

func (w watches) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, one := range w.byPath {
		delete(w.byPath, path)
		close(one.fired)
	}
}

// Watch returns the path's Stat, whether the node exists, and a channel that is
// closed once when the node is created, deleted, or its data changes, or when the
// session ends. However many callers watch a path, the server keeps one watch.
//
// The event is only a hint to look again: it does not raise the zxid that the
// client has seen, so after a reconnect to a server that is behind, what is read
// next can be older than the event. Errors: ErrExpired, ErrClosed, ErrSuspended
// or ctx's, ErrNoAuth.
func (s *Session) Watch(ctx context.Context, path string) (stat Stat, exists bool, fired <-chan struct{}, err error) {
	s.rewatches.asked.Store(true)
	one, armed := s.watches.at(s.cfg.Chroot + path)
	type reply struct {
		stat   Stat
		exists bool
	}
	r, err := read(ctx, s, "watch", path, func(c *zk.Conn, full string) (reply, error) {
		if armed {
			exists, stat, err := c.Exists(full)
			return reply{newStat(stat), exists}, err
		}
		exists, stat, _, err := c.ExistsW(full)
		return reply{newStat(stat), exists}, err
	})
	if err != nil {
		return Stat{}, false, nil, err
	}
	s.watches.arm(one)
	return r.stat, r.exists, one.fired, nil
}
