package zookeeper_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// listing returns n callers' watches on a node's children, which are one.
func listing(t *testing.T, s *zookeeper.Session, path string, n int, want ...string) <-chan struct{} {
	t.Helper()
	var fired <-chan struct{}
	for i := range n {
		names, _, ch, err := s.WatchChildren(within(t), path)
		must(t, err)
		slices.Sort(names)
		if !slices.Equal(names, want) {
			t.Errorf("children of %s are %q, want %q", path, names, want)
		}
		if i > 0 && ch != fired {
			t.Error("a second watch on a node's children, want the first one shared")
		}
		fired = ch
	}
	return fired
}

// reading returns n callers' watches on a node's data, which are one.
func reading(t *testing.T, s *zookeeper.Session, path, want string, n int) <-chan struct{} {
	t.Helper()
	var fired <-chan struct{}
	for i := range n {
		data, stat, ch, err := s.WatchData(within(t), path)
		must(t, err)
		if string(data) != want || stat.Czxid == 0 {
			t.Errorf("%s holds %q at %d, want %q", path, data, stat.Czxid, want)
		}
		if i > 0 && ch != fired {
			t.Error("a second watch on a node's data, want the first one shared")
		}
		fired = ch
	}
	return fired
}

func wantWatches(t *testing.T, fake *zookeepertest.Fake, want int) {
	t.Helper()
	if got := fake.Watches(); got != want {
		t.Errorf("the server keeps %d watches, want %d", got, want)
	}
}

func TestAWatchFiresForItsOwnKindOfChangeOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		s, other := connect(t, fake), connect(t, fake)
		ctx := within(t)
		must(t, other.Create(ctx, "/p", []byte("1"), zookeeper.Persistent))
		node, data, list := watching(t, s, "/p", 3), reading(t, s, "/p", "1", 3), listing(t, s, "/p", 3)
		if data != node {
			t.Error("a watch on a node's data beside the one on its existence, want one")
		}
		wantWatches(t, fake, 2)

		must(t, other.Create(ctx, "/p/a", nil, zookeeper.Persistent))
		<-list
		if closed(node) {
			t.Error("a new child fired the watch on the node")
		}
		list = listing(t, s, "/p", 2, "a")
		must(t, other.Multi(ctx, zookeeper.SetOp("/p", []byte("2"), -1)))
		<-data
		if closed(list) {
			t.Error("new data fired the watch on the children")
		}
		must(t, other.Multi(ctx, zookeeper.SetOp("/p/a", []byte("2"), -1)))
		must(t, other.Delete(ctx, "/p/a", -1))
		<-list

		data, list = reading(t, s, "/p", "2", 2), listing(t, s, "/p", 2)
		wantWatches(t, fake, 2)
		must(t, other.Delete(ctx, "/p", -1)) // one event, for both
		<-data
		<-list
		wantWatches(t, fake, 0)
	})
}

func TestWatchesOfEachKindHearOfWhatHappenedDuringASuspension(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, other := connect(t, link), connect(t, fake)
		ctx := within(t)
		for _, path := range []string{"/grown", "/gone", "/same"} {
			must(t, other.Create(ctx, path, nil, zookeeper.Persistent))
		}
		grown, gone, same := listing(t, s, "/grown", 2), listing(t, s, "/gone", 2), listing(t, s, "/same", 2)
		sameData, goneData := reading(t, s, "/same", "", 2), reading(t, s, "/gone", "", 1)
		heal := cut(t, link, s)
		must(t, other.Create(ctx, "/grown/a", nil, zookeeper.Persistent))
		must(t, other.Delete(ctx, "/gone", -1))
		heal()
		<-grown
		<-gone
		<-goneData
		synctest.Wait()
		if closed(same) || closed(sameData) {
			t.Error("a watch on what did not change has fired")
		}
		must(t, other.Create(ctx, "/same/a", nil, zookeeper.Persistent))
		<-same
	})
}

// Nodes whose names never come back must leave nothing behind, at the server or here.
func TestNoWatchIsLeftWhereThereIsNoNode(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		s := connect(t, fake)
		_, _, fired, err := s.WatchData(within(t), "/missing")
		wantErr(t, "WatchData", err, zookeeper.ErrNoNode)
		_, _, list, err := s.WatchChildren(within(t), "/missing")
		wantErr(t, "WatchChildren", err, zookeeper.ErrNoNode)
		if fired != nil || list != nil {
			t.Error("a channel where nothing is watched, want none")
		}
		wantWatches(t, fake, 0)

		// Once there is something to watch, it is.
		must(t, s.Create(within(t), "/missing", []byte("x"), zookeeper.Persistent))
		data, children := reading(t, s, "/missing", "x", 2), listing(t, s, "/missing", 2)
		must(t, s.Delete(within(t), "/missing", -1))
		<-data
		<-children
	})
}

// A caller that gives up takes nothing from the others, and the next one is not left
// with a watch that no server has.
func TestAWatchOutlivesACallerThatGaveUp(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, other := connect(t, link), connect(t, fake)
		must(t, other.Create(within(t), "/p", nil, zookeeper.Persistent))
		link.Freeze(zookeepertest.ToServer)
		ctx, giveUp := context.WithCancel(t.Context())
		first := background(func() error { _, _, _, err := s.WatchChildren(ctx, "/p"); return err })
		synctest.Wait()
		giveUp()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that gave up has %v, want its context's error", err)
		}
		link.Unfreeze()
		fired := listing(t, s, "/p", 2)
		wantWatches(t, fake, 1)
		must(t, other.Create(within(t), "/p/a", nil, zookeeper.Persistent))
		<-fired
	})
}

func TestTheEndOfASessionFiresWatchesOfEachKind(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		s := connect(t, fake)
		must(t, s.Create(within(t), "/p", nil, zookeeper.Persistent))
		data, list := reading(t, s, "/p", "", 1), listing(t, s, "/p", 1)
		s.Close()
		<-data
		<-list
	})
}

// A real server's events agree with what the fake's made of them.
func TestWatchesOfEachKindOnARealServer(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	cfg := zookeeper.Config{Servers: []string{srv.Addr()}, SessionTimeout: timeout}
	s, other := openWith(t, cfg), openWith(t, cfg)
	ctx := within(t)
	must(t, other.Create(ctx, "/p", []byte("1"), zookeeper.Persistent))
	data, list := reading(t, s, "/p", "1", 2), listing(t, s, "/p", 2)
	must(t, other.Create(ctx, "/p/a", nil, zookeeper.Persistent))
	<-list
	if closed(data) {
		t.Error("a new child fired the watch on the node")
	}
	list = listing(t, s, "/p", 2, "a")
	must(t, other.Delete(ctx, "/p/a", -1))
	<-list
	list = listing(t, s, "/p", 2)
	must(t, other.Delete(ctx, "/p", -1))
	<-data
	<-list
}
