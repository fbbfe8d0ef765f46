package zookeeper

import (
	"context"
	"sync"

	"github.com/go-zookeeper/zk"
)

// watchKind is what a watch is on, as events tell it: a node's existence and data, or
// its list of children.
type watchKind int

const (
	watchNode watchKind = iota
	watchList
)

// watched names a watch. Its path is the full one.
type watched struct {
	path string
	kind watchKind
}

// watches keeps at most one watch of a kind on a path, however many ask: ZooKeeper's
// watches cannot be taken back through go-zookeeper, and each would stay in its
// memory until it fires.
type watches struct {
	mu *sync.Mutex
	by map[watched]*watch
}

// watch is fired once. It is armed when a server has confirmed it.
type watch struct {
	fired  chan struct{}
	armed  bool
	asking int // calls that ask a server about it
}

func newWatches() watches {
	return watches{mu: new(sync.Mutex), by: make(map[watched]*watch)}
}

// ask returns the watch, made if necessary, and whether a server has confirmed it.
// The caller calls answered when it has asked.
func (w watches) ask(on watched) (*watch, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.by[on]
	if one == nil {
		one = &watch{fired: make(chan struct{})}
		w.by[on] = one
	}
	one.asking++
	return one, one.armed
}

// answered notes whether a server has confirmed the watch. One that nobody waits for
// is forgotten, as what it is on may never come back; should a server keep it all the
// same, its event is for nobody.
func (w watches) answered(on watched, one *watch, armed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one.asking--
	one.armed = one.armed || armed
	if !one.armed && one.asking == 0 && w.by[on] == one {
		delete(w.by, on)
	}
}

// fire uses up the watches that an event is for: the server has, and go-zookeeper
// does not take them to the next connection.
func (w watches) fire(ev zk.Event) {
	kinds := []watchKind{watchNode, watchList} // a deletion is told to both, once
	switch ev.Type {
	case zk.EventNodeCreated, zk.EventNodeDataChanged:
		kinds = kinds[:1]
	case zk.EventNodeChildrenChanged:
		kinds = kinds[1:]
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, kind := range kinds {
		on := watched{ev.Path, kind}
		if one := w.by[on]; one != nil {
			delete(w.by, on)
			close(one.fired)
		}
	}
}

func (w watches) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for on, one := range w.by {
		delete(w.by, on)
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
//
// A watch on what does not exist stays until it does, or until the session ends: to
// watch nodes whose names never come back, use WatchData.
func (s *Session) Watch(ctx context.Context, path string) (stat Stat, exists bool, fired <-chan struct{}, err error) {
	type reply struct {
		stat   Stat
		exists bool
	}
	r, fired, err := watching(ctx, s, watchNode, "watch", path, func(c *zk.Conn, full string, leave bool) (reply, error) {
		if !leave {
			exists, stat, err := c.Exists(full)
			return reply{newStat(stat), exists}, err
		}
		exists, stat, _, err := c.ExistsW(full)
		return reply{newStat(stat), exists}, err
	})
	return r.stat, r.exists, fired, err
}

// WatchData returns a node's data and Stat, and a channel that is closed once when the
// data changes or the node is deleted, or when the session ends. It shares the watch
// of Watch; and the event is a hint as there. Where there is no node it leaves no
// watch. Errors: as Get.
func (s *Session) WatchData(ctx context.Context, path string) (data []byte, stat Stat, fired <-chan struct{}, err error) {
	type reply struct {
		data []byte
		stat Stat
	}
	r, fired, err := watching(ctx, s, watchNode, "watch data", path, func(c *zk.Conn, full string, leave bool) (reply, error) {
		if !leave {
			data, stat, err := c.Get(full)
			return reply{data, newStat(stat)}, err
		}
		data, stat, _, err := c.GetW(full)
		return reply{data, newStat(stat)}, err
	})
	return r.data, r.stat, fired, err
}

// WatchChildren returns the names of a node's children in no particular order, the
// node's Stat, and a channel that is closed once when a child is created or deleted,
// when the node is deleted, or when the session ends. However many callers watch a
// node's children, the server keeps one watch, beside the one of Watch; and the event
// is a hint as there. Where there is no node it leaves no watch. Errors: as Children.
func (s *Session) WatchChildren(ctx context.Context, path string) (names []string, stat Stat, fired <-chan struct{}, err error) {
	type reply struct {
		names []string
		stat  Stat
	}
	r, fired, err := watching(ctx, s, watchList, "watch children", path, func(c *zk.Conn, full string, leave bool) (reply, error) {
		if !leave {
			names, stat, err := c.Children(full)
			return reply{names, newStat(stat)}, err
		}
		names, stat, _, err := c.ChildrenW(full)
		return reply{names, newStat(stat)}, err
	})
	return r.names, r.stat, fired, err
}

// watching reads, and has the read leave a watch unless there is one. The channel is
// nil when reading failed.
func watching[T any](ctx context.Context, s *Session, kind watchKind, op, path string, do func(c *zk.Conn, full string, leave bool) (T, error)) (T, <-chan struct{}, error) {
	s.rewatches.asked.Store(true)
	on := watched{s.full(path), kind}
	one, armed := s.watches.ask(on)
	v, err := read(ctx, s, op, path, func(c *zk.Conn, full string) (T, error) { return do(c, full, !armed) })
	s.watches.answered(on, one, err == nil)
	if err != nil {
		var zero T
		return zero, nil, err
	}
	return v, one.fired, nil
}
