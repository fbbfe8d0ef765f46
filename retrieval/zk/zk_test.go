package zk

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

const (
	sessionTimeout = 6 * time.Second
	leaders        = "/c/leader"
	node           = leaders + "/" + leader.Dispatcher
)

// stage is a fake server in virtual time, somebody who writes, and a follower behind a
// link of its own.
type stage struct {
	fake   *zookeepertest.Fake
	link   *zookeepertest.Link // the follower's
	client *zookeeper.Client   // the follower's
	writer *zookeeper.Session
	seen   chan retrieval.Observation
	newest retrieval.Observation // of those that were judged
}

// following runs f where a Driver follows the dispatcher.
func following(t *testing.T, f func(t *testing.T, fake *zookeepertest.Fake, link *zookeepertest.Link, writer *zookeeper.Session, seen <-chan retrieval.Observation)) {
	t.Helper()
	followingWith(t, func(c *zookeeper.Client) (retrieval.Driver, error) {
		return New(Config{Client: c, Leaders: leaders})
	}, func(t *testing.T, s *stage) {
		t.Helper()
		f(t, s.fake, s.link, s.writer, s.seen)
	})
}

func followingWith(t *testing.T, newDriver func(*zookeeper.Client) (retrieval.Driver, error), f func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := zookeepertest.NewFake(zookeepertest.FakeConfig{TickTime: time.Second})
		t.Cleanup(fake.Close)
		s := &stage{fake: fake, link: fake.NewLink(), seen: make(chan retrieval.Observation, 1000)}
		var err error
		s.writer, err = zookeeper.Open(t.Context(), config(fake.Link))
		must(t, err)
		t.Cleanup(func() { _ = s.writer.Close() })
		s.client, err = zookeeper.New(config(s.link))
		must(t, err)
		driver, err := newDriver(s.client)
		must(t, err)
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		ended := make(chan error, 2)
		go func() { ended <- s.client.Run(ctx) }()
		go func() {
			ended <- driver.Follow(ctx, leader.Dispatcher, func(o retrieval.Observation) { s.seen <- o })
		}()
		t.Cleanup(func() {
			stop()
			for range 2 {
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("ended with %v, want %v", err, context.Canceled)
				}
			}
		})
		f(t, s)
	})
}

func config(link *zookeepertest.Link) zookeeper.Config {
	return zookeeper.Config{Servers: []string{"127.0.0.1:2181"}, SessionTimeout: sessionTimeout, Dial: link.DialContext}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await blocks until a status is observed.
func await(t *testing.T, seen <-chan retrieval.Observation, want retrieval.Status) retrieval.Observation {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case o := <-seen:
			if o.Status == want {
				return o
			}
		case <-limit:
			t.Fatalf("%v was not observed in a minute", want)
		}
	}
}

// latest returns the last of what was observed so far.
func latest(t *testing.T, seen <-chan retrieval.Observation) retrieval.Observation {
	t.Helper()
	synctest.Wait()
	var last retrieval.Observation
	if len(seen) == 0 {
		t.Error("nothing new was observed")
	}
	for len(seen) > 0 {
		last = <-seen
	}
	return last
}

func published(t *testing.T, epoch leader.Epoch) []byte {
	t.Helper()
	data, err := leader.Info{Component: leader.Dispatcher, ID: "node-1", SessionID: "s", Epoch: epoch, Phase: leader.PhaseReady}.Encode()
	must(t, err)
	return data
}

func TestWithoutAParentNobodyLeads(t *testing.T) {
	following(t, func(t *testing.T, _ *zookeepertest.Fake, _ *zookeepertest.Link, writer *zookeeper.Session, seen <-chan retrieval.Observation) {
		if o := await(t, seen, retrieval.StatusNone); o.Index != 0 || o.Info != (leader.Info{}) {
			t.Errorf("observed %+v without a parent, want nobody at index 0", o)
		}
		must(t, writer.EnsurePath(t.Context(), leaders, zookeeper.Persistent))
		must(t, writer.Create(t.Context(), node, published(t, 7), zookeeper.Ephemeral))
		o := await(t, seen, retrieval.StatusKnown)
		stat, _, err := writer.Exists(t.Context(), node)
		must(t, err)
		if o.Info.Epoch != 7 || o.Index != stat.Czxid {
			t.Errorf("observed epoch %d at %d, want 7 at %d", o.Info.Epoch, o.Index, stat.Czxid)
		}
	})
}

func TestWhatCannotBeReadIsNotConfirmed(t *testing.T) {
	following(t, func(t *testing.T, _ *zookeepertest.Fake, _ *zookeepertest.Link, writer *zookeeper.Session, seen <-chan retrieval.Observation) {
		await(t, seen, retrieval.StatusNone)
		must(t, writer.EnsurePath(t.Context(), leaders, zookeeper.Persistent))
		for _, garbage := range []string{"", "\x00\x01", "{}", `{"v":99}`} {
			must(t, writer.Create(t.Context(), node, []byte(garbage), zookeeper.Persistent))
			if o := latest(t, seen); o != (retrieval.Observation{Status: retrieval.StatusUnconfirmed}) {
				t.Errorf("observed %+v where %q is published, want that nothing is confirmed", o, garbage)
			}
			must(t, writer.Multi(t.Context(), zookeeper.SetOp(node, published(t, 7), -1)))
			if o := latest(t, seen); o.Status != retrieval.StatusKnown || o.Info.Epoch != 7 {
				t.Errorf("observed %+v once it was replaced, want epoch 7", o)
			}
			must(t, writer.Delete(t.Context(), node, -1))
			if o := latest(t, seen); o.Status != retrieval.StatusNone {
				t.Errorf("observed %+v once it was deleted, want nobody", o)
			}
		}
	})
}

func TestNobodyLeadsAtTheIndexOfTheLastChange(t *testing.T) {
	following(t, func(t *testing.T, fake *zookeepertest.Fake, _ *zookeepertest.Link, writer *zookeeper.Session, seen <-chan retrieval.Observation) {
		must(t, writer.EnsurePath(t.Context(), leaders, zookeeper.Persistent))
		must(t, writer.Create(t.Context(), node, published(t, 7), zookeeper.Ephemeral))
		known := await(t, seen, retrieval.StatusKnown)
		must(t, writer.Delete(t.Context(), node, -1))
		none := await(t, seen, retrieval.StatusNone)
		txns := fake.Txns()
		if deleted := txns[len(txns)-1].Zxid; none.Index != deleted || none.Index <= known.Index {
			t.Errorf("nobody leads at %d, want the deletion at %d, after %d", none.Index, deleted, known.Index)
		}
	})
}

func TestAnUnreachableBackendIsUnknownAtOnceAndKnownAgainAfterwards(t *testing.T) {
	following(t, func(t *testing.T, _ *zookeepertest.Fake, link *zookeepertest.Link, writer *zookeeper.Session, seen <-chan retrieval.Observation) {
		must(t, writer.EnsurePath(t.Context(), leaders, zookeeper.Persistent))
		must(t, writer.Create(t.Context(), node, published(t, 7), zookeeper.Ephemeral))
		await(t, seen, retrieval.StatusKnown)
		for _, outage := range []time.Duration{time.Second, 3 * sessionTimeout} { // within and beyond the session
			link.Refuse(true)
			link.Drop()
			if o := latest(t, seen); o != (retrieval.Observation{}) {
				t.Errorf("observed %+v without a connection, want that nothing is known", o)
			}
			<-time.After(outage)
			link.Refuse(false)
			await(t, seen, retrieval.StatusUnconfirmed)
			if o := await(t, seen, retrieval.StatusKnown); o.Info.Epoch != 7 {
				t.Errorf("observed epoch %d after an outage of %v, want 7", o.Info.Epoch, outage)
			}
		}
	})
}

// The backend hangs while it is being asked, as when the leader died with it.
func TestAnAnswerThatDoesNotComeIsUnknown(t *testing.T) {
	following(t, func(t *testing.T, _ *zookeepertest.Fake, link *zookeepertest.Link, writer *zookeeper.Session, seen <-chan retrieval.Observation) {
		must(t, writer.EnsurePath(t.Context(), leaders, zookeeper.Persistent))
		must(t, writer.Create(t.Context(), node, published(t, 7), zookeeper.Ephemeral))
		await(t, seen, retrieval.StatusKnown)
		link.Freeze(zookeepertest.ToServer) // events still arrive
		must(t, writer.Delete(t.Context(), node, -1))
		start := time.Now()
		await(t, seen, retrieval.StatusUnknown)
		if took := time.Since(start); took > sessionTimeout/2 {
			t.Errorf("a backend that hangs counted as known for %v", took)
		}
		link.Unfreeze()
		await(t, seen, retrieval.StatusNone)
	})
}

// A server that can be reached and is slow to say who leads is not one that is away.
func TestWhatIsNotAnsweredYetIsNotConfirmed(t *testing.T) {
	following(t, func(t *testing.T, _ *zookeepertest.Fake, link *zookeepertest.Link, writer *zookeeper.Session, seen <-chan retrieval.Observation) {
		must(t, writer.EnsurePath(t.Context(), leaders, zookeeper.Persistent))
		must(t, writer.Create(t.Context(), node, published(t, 7), zookeeper.Ephemeral))
		await(t, seen, retrieval.StatusKnown)
		link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
			if r.Op == zookeepertest.OpGetData {
				before = time.Second
			}
			return before, after
		})
		link.Drop()
		await(t, seen, retrieval.StatusUnknown)
		if o := await(t, seen, retrieval.StatusUnconfirmed); o != (retrieval.Observation{Status: retrieval.StatusUnconfirmed}) {
			t.Errorf("observed %+v, want neither a leader nor an index", o)
		}
		synctest.Wait()
		if len(seen) > 0 {
			t.Errorf("observed %+v before the server had answered, want nothing", <-seen)
		}
		await(t, seen, retrieval.StatusKnown)
	})
}

// Whoever has seen that nobody leads, and waits for a larger index, must not miss the
// leader that came just then.
func TestNobodyLeadsBelowTheIndexOfTheNextLeader(t *testing.T) {
	following(t, func(t *testing.T, fake *zookeepertest.Fake, link *zookeepertest.Link, writer *zookeeper.Session, seen <-chan retrieval.Observation) {
		must(t, writer.EnsurePath(t.Context(), leaders, zookeeper.Persistent))
		await(t, seen, retrieval.StatusNone)
		must(t, writer.Create(t.Context(), node, published(t, 7), zookeeper.Ephemeral))
		await(t, seen, retrieval.StatusKnown)
		link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
			if r.Path == leaders {
				before = time.Second // it is read behind the watch on the node
			}
			return before, after
		})
		must(t, writer.Delete(t.Context(), node, -1))
		<-time.After(time.Second / 2)
		must(t, writer.Create(t.Context(), node, published(t, 9), zookeeper.Ephemeral))
		created, _ := fake.Node(node)
		for {
			o := <-seen
			if o.Status == retrieval.StatusKnown {
				if o.Info.Epoch != 9 || o.Index != created.Czxid {
					t.Errorf("observed %+v, want epoch 9 at %d", o, created.Czxid)
				}
				return
			}
			if o.Index >= created.Czxid {
				t.Errorf("observed %+v, want none below the index %d of the next leader", o, created.Czxid)
			}
		}
	})
}

func TestFollowRefusesWhatIsNoComponent(t *testing.T) {
	client, err := zookeeper.New(zookeeper.Config{Servers: []string{"127.0.0.1"}})
	must(t, err)
	for _, path := range []string{"", "/", "leader", "/leader/", "/a/../b"} {
		if _, err := NewLatch(LatchConfig{Client: client, Latch: path}); err == nil || !strings.Contains(err.Error(), "not a clean absolute path") {
			t.Errorf("NewLatch with %q: %v, want an error that says what is wrong", path, err)
		}
		if _, err := New(Config{Client: client, Leaders: path}); err == nil || !strings.Contains(err.Error(), "not a clean absolute path") {
			t.Errorf("New with %q: %v, want an error that says what is wrong", path, err)
		}
	}
	driver, err := New(Config{Client: client, Leaders: leaders})
	must(t, err)
	for _, component := range []string{"", "a/b"} {
		err := driver.Follow(t.Context(), component, func(retrieval.Observation) {})
		if err == nil || !strings.Contains(err.Error(), "not the name of a component") {
			t.Errorf("Follow %q: %v, want an error that says what is wrong", component, err)
		}
	}
}
