package zookeeper_test

import (
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// watching returns n callers' watches on a path, which are one.
func watching(t *testing.T, s *zookeeper.Session, path string, n int) <-chan struct{} {
	t.Helper()
	_, _, fired, err := s.Watch(within(t), path)
	must(t, err)
	for range n - 1 {
		_, _, again, err := s.Watch(within(t), path)
		must(t, err)
		if again != fired {
			t.Error("a second watch on a path, want the first one shared")
		}
	}
	return fired
}

func TestFinding08ASharedWatchFiresOnceThroughReconnects(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, other := connect(t, link), connect(t, fake)
		ctx := within(t)
		must(t, other.Create(ctx, "/there", nil, zookeeper.Persistent))
		there, missing := watching(t, s, "/there", 3), watching(t, s, "/missing", 3)
		for range 2 {
			heal := cut(t, link, s)
			heal()
			awaitState(t, s, zookeeper.Connected)
			synctest.Wait()
		}
		if closed(there) || closed(missing) {
			t.Error("a reconnect fired a watch on what did not change")
		}
		must(t, other.Delete(ctx, "/there", -1))
		must(t, other.Create(ctx, "/missing", nil, zookeeper.Persistent))
		<-there
		<-missing
		if again := watching(t, s, "/there", 2); closed(again) {
			t.Error("the next watch has fired before anything changed")
		}
	})
}

func TestAWatchHearsOfWhatHappenedDuringASuspension(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, other := connect(t, link), connect(t, fake)
		ctx := within(t)
		must(t, other.Create(ctx, "/there", nil, zookeeper.Persistent))
		there, missing, same := watching(t, s, "/there", 2), watching(t, s, "/missing", 2), watching(t, s, "/same", 2)
		heal := cut(t, link, s)
		must(t, other.Delete(ctx, "/there", -1))
		must(t, other.Create(ctx, "/missing", nil, zookeeper.Persistent))
		heal()
		<-there
		<-missing
		if closed(same) {
			t.Error("a watch on what did not change has fired")
		}
	})
}

// A watch whose confirmation was lost is left again, and only then shared.
func TestAWatchWhoseReplyWasLostIsLeftAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, other := connect(t, link), connect(t, fake)
		ctx := within(t)
		lost := link.DropReplyOf(func(r zookeepertest.Request) bool { return r.Watch })
		fired := watching(t, s, "/x", 2)
		if !closed(lost) {
			t.Error("no reply was lost, which the test is about")
		}
		must(t, other.Create(ctx, "/x", nil, zookeeper.Persistent))
		<-fired
	})
}

func TestTheEndOfASessionFiresItsWatches(t *testing.T) {
	for name, end := range map[string]func(*zookeepertest.Fake, *zookeeper.Session){
		"closed":    func(_ *zookeepertest.Fake, s *zookeeper.Session) { s.Close() },
		"abandoned": func(_ *zookeepertest.Fake, s *zookeeper.Session) { s.Abandon() },
		"expired":   func(f *zookeepertest.Fake, s *zookeeper.Session) { f.ExpireSession(s.ID()) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				s := connect(t, fake)
				must(t, s.Create(within(t), "/there", nil, zookeeper.Persistent))
				there, missing := watching(t, s, "/there", 2), watching(t, s, "/missing", 1)
				end(fake, s)
				<-there
				<-missing
				<-s.Done()
			})
		})
	}
}

// Requests that waited for the connection are answered at once when it is back. What
// happened to watched nodes before is reported all the same.
func TestAWatchMissesNothingBehindRequestsThatWaited(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, other := connect(t, link), connect(t, fake)
		ctx := within(t)
		must(t, other.Create(ctx, "/there", nil, zookeeper.Persistent))
		there := watching(t, s, "/there", 1)
		heal := cut(t, link, s)
		answers := make(chan error, manyRequests)
		for range manyRequests {
			go func() { answers <- s.Delete(ctx, "/nothing", -1) }()
		}
		synctest.Wait()
		must(t, other.Multi(ctx, zookeeper.SetOp("/there", []byte("new"), -1)))
		heal()
		for range manyRequests {
			wantErr(t, "delete", <-answers, zookeeper.ErrNoNode)
		}
		<-there
	})
}
