package zk

import (
	"context"
	"testing"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// CURATOR-18: a latch that was closed while its node was being created did not delete
// that node, which then led for as long as the session lived. Here a campaign that ends
// without knowing what became of its create closes the session.
func TestACampaignThatEndsUnderItsCreateLeavesNoNode(t *testing.T) {
	for name, race := range map[string]func(link *zookeepertest.Link, cancel func() error) <-chan error{
		"before the node is made": func(link *zookeepertest.Link, cancel func() error) <-chan error {
			return before(link, isJoin, cancel)
		},
		"before the reply": func(link *zookeepertest.Link, cancel func() error) <-chan error {
			return after(link, isJoin, cancel)
		},
		"after the reply was lost": func(link *zookeepertest.Link, cancel func() error) <-chan error {
			lost, struck := link.DropReplyOf(isJoin), make(chan error, 1)
			link.Refuse(true)
			go func() {
				<-lost
				struck <- cancel()
				link.Refuse(false)
			}()
			return struck
		},
	} {
		t.Run("CURATOR-18 "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a, b := join(t, fake, "a", Ride), join(t, fake, "b", Ride)
				must(t, a.sessionOf(t).EnsurePath(within(t), latchPath, zookeeper.Container))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				struck := race(a.link, func() error { cancel(); return nil })
				over := a.contend(ctx)
				strikes(t, struck)
				wantErr(t, "campaign", (<-over).err, context.Canceled)

				next := wins(t, fake, b.contend(within(t)))
				wantNodes(t, fake, "while the other one leads", next.guard.Path())
				must(t, next.Release(within(t)))
			})
		})
	}
}

// CURATOR-110: a latch that was started without a connection gave up after its last
// try, and did not begin anew with the first connection, because it heeded reconnects
// only. Here a campaign asks the client for a session, and the client goes on trying.
func TestAContenderMayStartBeforeItIsConnected(t *testing.T) {
	for name, away := range map[string]struct{ begin, end func(*zookeepertest.Link) }{
		"no server listens": {
			func(l *zookeepertest.Link) { l.Refuse(true) },
			func(l *zookeepertest.Link) { l.Refuse(false) },
		},
		"no server answers": {
			func(l *zookeepertest.Link) { l.Freeze() },
			func(l *zookeepertest.Link) { l.Unfreeze() },
		},
		"no answer arrives": {
			func(l *zookeepertest.Link) { l.Freeze(zookeepertest.ToClient) },
			func(l *zookeepertest.Link) { l.Unfreeze() },
		},
	} {
		t.Run("CURATOR-110 "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				away.begin(fake.Link)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				won := join(t, fake, "a", Ride).contend(ctx)
				elapse(10 * time.Minute)
				wantWaiting(t, "without a connection", won)
				away.end(fake.Link)
				mine := wins(t, fake, won)
				wantNodes(t, fake, "while it leads", mine.guard.Path())
				must(t, mine.Release(within(t)))
			})
		})
	}
}

// Netflix-257: a latch that was started while ZooKeeper was away was set up twice, by
// the start and by the reconnect, and had two nodes, of which it forgot one. Here one
// goroutine makes the node, and finds it again when the reply was lost.
func TestAContenderThatStartsThroughReconnectsMakesOneNode(t *testing.T) {
	for name, disturb := range map[string]func(*zookeepertest.Link){
		"replies lost": func(l *zookeepertest.Link) {
			l.DropReplyOf(isJoin)
			for _, op := range []zookeepertest.Op{zookeepertest.OpMulti, zookeepertest.OpGetChildren, zookeepertest.OpExists} {
				l.DropReplyOf(func(r zookeepertest.Request) bool { return r.Op == op })
			}
		},
		"request lost, then its reply": func(l *zookeepertest.Link) {
			l.DropRequestOf(isJoin)
			l.DropReplyOf(isJoin)
		},
		"request late": func(l *zookeepertest.Link) {
			before(l, isJoin, func() error {
				l.Freeze(zookeepertest.ToServer)
				time.AfterFunc(sessionTimeout/2, l.Unfreeze)
				return nil
			})
		},
		"reply late": func(l *zookeepertest.Link) {
			before(l, isJoin, func() error {
				l.Freeze(zookeepertest.ToClient)
				time.AfterFunc(sessionTimeout/2, l.Unfreeze)
				return nil
			})
		},
	} {
		t.Run("Netflix-257 "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a, b := join(t, fake, "a", Ride), join(t, fake, "b", Ride)
				must(t, b.sessionOf(t).EnsurePath(within(t), latchPath, zookeeper.Container))
				a.link.Refuse(true)
				a.link.Drop()
				won := a.contend(within(t))
				elapse(sessionTimeout / 4)
				disturb(a.link)
				a.link.Refuse(false)
				mine := wins(t, fake, won)
				wantNodes(t, fake, "of one contender", mine.guard.Path())

				waiting := b.queues(within(t), t, fake)
				must(t, mine.Release(within(t)))
				next := wins(t, fake, waiting)
				wantNodes(t, fake, "when the first has left", next.guard.Path())
				must(t, next.Release(within(t)))
			})
		})
	}
}
