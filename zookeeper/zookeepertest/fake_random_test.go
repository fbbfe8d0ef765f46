package zookeepertest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// walk is a random sequence of what clients do. The same seed makes the same
// sequence whatever is answered.
type walk struct {
	script
	rand    *rand.Rand
	other   script // another client of the same server
	cut     func() // takes the first client's connection away
	heal    func() // and lets it connect again
	waiting []pending
}

// pending is a watch that has not fired.
type pending struct {
	what string
	ch   <-chan zk.Event
}

func (w *walk) pick(of ...string) string { return of[w.rand.IntN(len(of))] }

func (w *walk) path() string { return w.pick("/r/a", "/r/b", "/r/a/x", "/r/a/y", "/r/b/x", "/r") }

func (w *walk) version() int32 { return w.rand.Int32N(4) - 1 }

func (w *walk) flags() int32 {
	return []int32{0, 0, 0, zk.FlagEphemeral, zk.FlagSequence, zk.FlagEphemeral | zk.FlagSequence}[w.rand.IntN(6)]
}

// part is one operation of a transaction.
func (w *walk) part() any {
	path, version, flags := w.path(), w.version(), w.flags()
	switch w.rand.IntN(5) {
	case 0:
		return &zk.CheckVersionRequest{Path: path, Version: version}
	case 1:
		return &zk.SetDataRequest{Path: path, Data: []byte("m"), Version: version}
	case 2:
		return &zk.DeleteRequest{Path: path, Version: version}
	default:
		return &zk.CreateRequest{Path: path, Data: []byte("n"), Acl: zk.WorldACL(zk.PermAll), Flags: flags}
	}
}

// step does one thing as the given client.
func (w *walk) step(s *script) {
	path, version := w.path(), w.version()
	switch w.rand.IntN(12) {
	case 0, 1, 2:
		s.create(path, w.pick("", "data"), w.flags())
	case 3:
		s.container(path)
	case 4:
		s.remove(path, version)
	case 5:
		s.set(path, w.pick("", "other"), version)
	case 6:
		s.get(path)
	case 7:
		s.exists(path)
	case 8:
		s.children(path)
	case 9: // what a contender does that queues again
		s.multi(&zk.DeleteRequest{Path: path, Version: -1},
			&zk.CreateRequest{Path: "/r/s-", Acl: zk.WorldACL(zk.PermAll), Flags: zk.FlagEphemeral | zk.FlagSequence})
	default:
		var ops []any
		for range 1 + w.rand.IntN(4) {
			ops = append(ops, w.part())
		}
		s.multi(ops...)
	}
}

// watch leaves a watch of the first client.
func (w *walk) watch() {
	path := w.path()
	var ch <-chan zk.Event
	var err error
	kind := w.pick("exists", "data", "children")
	switch kind {
	case "exists":
		_, _, ch, err = w.conn.ExistsW(path)
	case "data":
		_, _, ch, err = w.conn.GetW(path)
	default:
		_, _, ch, err = w.conn.ChildrenW(path)
	}
	w.notef("watch %s of %s: %v", kind, path, err)
	if err == nil {
		w.waiting = append(w.waiting, pending{kind + " of " + path, ch})
	}
}

// events notes which watches have fired. It begins with a request: the events of
// what was done before stand before its reply.
func (w *walk) events() {
	if _, _, err := w.conn.Exists("/r"); err != nil {
		w.t.Fatal(err)
	}
	var still []pending
	for _, p := range w.waiting {
		select {
		case e := <-p.ch:
			w.notef("  %s: %v %s %v", p.what, e.Type, e.Path, e.Err)
		default:
			still = append(still, p)
		}
	}
	w.waiting = still
}

// absence lets the other client act while the first one is away.
func (w *walk) absence(round int) {
	back := fmt.Sprintf("/back-%d", round)
	_, _, ch, err := w.conn.ExistsW(back)
	if err != nil {
		w.t.Fatal(err)
	}
	w.cut()
	for range 1 + w.rand.IntN(6) {
		w.step(&w.other)
	}
	w.other.create(back, "", 0)
	w.heal()
	select {
	case <-ch: // the watches were sent again
	case <-time.After(30 * time.Second):
		w.t.Fatal("the first client did not come back within 30 s")
	}
	w.events()
}

// run returns what the clients saw.
func (w *walk) run() string {
	w.create("/r", "", 0)
	_, st, err := w.conn.Get("/r")
	if err != nil {
		w.t.Fatal(err)
	}
	w.base, w.other.base = st.Czxid, st.Czxid
	for i := range 300 {
		switch w.rand.IntN(12) {
		case 0, 1, 2:
			w.watch()
		case 3, 4, 5, 6:
			w.step(&w.other)
		default:
			w.step(&w.script)
		}
		w.events()
		if i%100 == 99 {
			w.absence(i)
		}
		w.lines, w.other.lines = append(w.lines, w.other.lines...), nil
	}
	return strings.Join(w.lines, "\n")
}

func newWalk(t *testing.T, seed uint64, conn, other *zk.Conn) *walk {
	t.Helper()
	return &walk{
		script: script{t: t, conn: conn}, other: script{t: t, conn: other},
		rand: rand.New(rand.NewPCG(seed, 0)),
	}
}

func TestFakeAnswersRandomRequestsAsARealServerDoes(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			server := StartServer(t)
			proxy := StartProxy(t, server.Addr())
			w := newWalk(t, seed, connect(t, 10*time.Second, proxy.Addr()), connect(t, 10*time.Second, server.Addr()))
			w.cut, w.heal = proxy.Cut, proxy.Heal
			theirs := w.run()
			var ours string
			synctest.Test(t, func(t *testing.T) {
				f := NewFake(FakeConfig{})
				defer f.Close()
				link := f.NewLink()
				conn, _, done := connectFake(t, link, 10*time.Second)
				defer done()
				other, _, doneOther := connectFake(t, f.NewLink(), 10*time.Second)
				defer doneOther()
				w := newWalk(t, seed, conn, other)
				w.cut = func() { link.Refuse(true); link.Drop() }
				w.heal = func() { link.Refuse(false) }
				ours = w.run()
			})
			diff(t, "replies", ours, theirs)
			if n := strings.Count(ours, " of /r"); n < 50 {
				t.Errorf("%d lines about watches, want that the walk has many", n)
			}
		})
	}
}
