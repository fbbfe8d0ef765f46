package zookeepertest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// connectFake returns a go-zookeeper client of the fake whose session exists.
// The client is closed by the returned function, which must be called before the
// fake's Close, inside the bubble.
func connectFake(t *testing.T, l *Link, timeout time.Duration) (*zk.Conn, <-chan zk.Event, func()) {
	t.Helper()
	conn, events, err := zk.Connect([]string{"127.0.0.1:2181"}, timeout, zk.WithLogger(quiet{}), zk.WithDialer(l.Dial))
	if err != nil {
		t.Fatal(err)
	}
	for e := range events {
		if e.State == zk.StateHasSession {
			break
		}
	}
	return conn, events, func() {
		conn.Close()
		for range events {
		}
	}
}

// script notes what a client sees of a server, without what differs from run to
// run: times, and the zxids' distance to the first.
type script struct {
	t     *testing.T
	conn  *zk.Conn
	lines []string
	base  int64
}

func (s *script) notef(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *script) stat(st *zk.Stat) string {
	if st == nil {
		return "-"
	}
	c := *st
	owner := "none"
	switch {
	case c.EphemeralOwner == s.conn.SessionID():
		owner = "self"
	case c.EphemeralOwner != 0:
		owner = "other"
	}
	rel := func(zxid int64) int64 {
		if zxid == 0 || s.base == 0 {
			return 0
		}
		return zxid - s.base
	}
	return fmt.Sprintf("c%d m%d p%d v%d cv%d a%d %s len%d kids%d", rel(c.Czxid), rel(c.Mzxid), rel(c.Pzxid),
		c.Version, c.Cversion, c.Aversion, owner, c.DataLength, c.NumChildren)
}

func (s *script) create(path, data string, flags int32) {
	name, err := s.conn.Create(path, []byte(data), flags, zk.WorldACL(zk.PermAll))
	s.notef("create %s %d: %s %v", path, flags, name, err)
}

func (s *script) container(path string) {
	name, err := s.conn.CreateContainer(path, nil, zk.FlagContainer, zk.WorldACL(zk.PermAll))
	s.notef("container %s: %s %v", path, name, err)
}

func (s *script) get(path string) {
	data, st, err := s.conn.Get(path)
	s.notef("get %s: %q %s %v", path, data, s.stat(st), err)
}

func (s *script) set(path, data string, version int32) {
	st, err := s.conn.Set(path, []byte(data), version)
	s.notef("set %s: %s %v", path, s.stat(st), err)
}

func (s *script) children(path string) {
	names, st, err := s.conn.Children(path)
	s.notef("children %s: %d %s %v", path, len(names), s.stat(st), err)
}

func (s *script) remove(path string, version int32) {
	s.notef("delete %s %d: %v", path, version, s.conn.Delete(path, version))
}

func (s *script) exists(path string) {
	ok, st, err := s.conn.Exists(path)
	s.notef("exists %s: %t %s %v", path, ok, s.stat(st), err)
}

func (s *script) multi(ops ...any) {
	results, err := s.conn.Multi(ops...)
	s.notef("multi of %d: %v", len(ops), err)
	for _, r := range results {
		s.notef("  %q %s %v", r.String, s.stat(r.Stat), r.Error)
	}
}

func (s *script) watched(what string, ch <-chan zk.Event, change func()) {
	change()
	select {
	case e := <-ch:
		s.notef("watch %s: %v %v %s %v", what, e.Type, e.State, e.Path, e.Err)
	case <-time.After(5 * time.Second):
		s.notef("watch %s: nothing", what)
	}
}

// nodes exercises single operations.
func (s *script) nodes() {
	s.create("/t", "x", 0)
	_, st, err := s.conn.Get("/t")
	if err != nil {
		s.t.Fatal(err)
	}
	s.base = st.Czxid
	s.get("/t")
	s.create("/t", "x", 0)
	s.create("/none/x", "x", 0)
	s.create("/t/seq-", "", zk.FlagSequence)
	s.create("/t/seq-", "", zk.FlagSequence|zk.FlagEphemeral)
	s.create("/t/e", "eph", zk.FlagEphemeral)
	s.create("/t/e/under", "", 0)
	s.remove("/t/seq-0000000000", -1)
	s.create("/t/", "", zk.FlagSequence)
	s.get("/t/e")
	s.children("/t")
	s.children("/none")
	s.remove("/t", -1)
	s.remove("/t/e", 3)
	s.remove("/none", -1)
	s.set("/t", "longer", 0)
	s.set("/t", "again", 0)
	s.set("/none", "", -1)
	s.get("/t")
	s.get("/none")
	s.exists("/t/e")
	s.exists("/none")
	s.container("/box")
	s.container("/box")
	s.create("/box/in", "", 0)
	s.get("/box")
	name, err := s.conn.Create("/nil", nil, 0, zk.WorldACL(zk.PermAll))
	s.notef("create without data: %s %v", name, err)
	s.get("/nil")
	path, err := s.conn.Sync("/t")
	s.notef("sync: %s %v", path, err)
	acl, _, err := s.conn.GetACL("/t")
	s.notef("acl: %v %v", acl, err)
	s.notef("auth: %v", s.conn.AddAuth("digest", []byte("user:secret")))
}

// multis exercises transactions.
func (s *script) multis() {
	acl := zk.WorldACL(zk.PermAll)
	check := func(path string) any { return &zk.CheckVersionRequest{Path: path, Version: -1} }
	makeNode := func(path string, flags int32) any {
		return &zk.CreateRequest{Path: path, Data: []byte("d"), Acl: acl, Flags: flags}
	}
	set := func(path string) any { return &zk.SetDataRequest{Path: path, Data: []byte("dd"), Version: -1} }
	remove := func(path string) any { return &zk.DeleteRequest{Path: path, Version: -1} }
	s.multi(check("/t"))
	s.multi(check("/none"))
	s.multi(check("/t"), makeNode("/m", 0), set("/m"), set("/m"), makeNode("/m/a", 0))
	s.multi(check("/t"), makeNode("/m/b", 0), set("/m"), makeNode("/m/b", 0), remove("/m/a"), check("/t"))
	s.multi(remove("/m/a"), makeNode("/m/s-", zk.FlagSequence|zk.FlagEphemeral), makeNode("/m/s-", zk.FlagSequence))
	s.multi(remove("/m"), set("/m"))
	s.multi(&zk.CheckVersionRequest{Path: "/m", Version: 0}, remove("/t/e"))
	s.multi(&zk.CheckVersionRequest{Path: "/m", Version: 2}, remove("/t/e"))
	s.multi(makeNode("/undo", 0), makeNode("/undo/x", 0), remove("/m/s-0000000001"), set("/t"), check("/none"))
	s.multi(makeNode("/inmulti", zk.FlagContainer))
	s.multi()
	for _, path := range []string{"/", "/t", "/m", "/undo", "/inmulti"} {
		s.exists(path)
	}
	s.children("/m")
}

// watches exercises events.
func (s *script) watches() {
	must := func(err error) {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	_, _, ch, err := s.conn.ExistsW("/w")
	must(err)
	s.watched("creation", ch, func() { s.create("/w", "", 0) })
	_, _, ch, err = s.conn.GetW("/w")
	must(err)
	s.watched("change", ch, func() { s.set("/w", "1", -1) })
	_, _, ch, err = s.conn.ChildrenW("/w")
	must(err)
	s.watched("child created", ch, func() { s.create("/w/c", "", 0) })
	_, _, ch, err = s.conn.ChildrenW("/w")
	must(err)
	s.watched("child removed", ch, func() { s.remove("/w/c", -1) })
	_, _, data, err := s.conn.GetW("/w")
	must(err)
	_, _, kids, err := s.conn.ChildrenW("/w")
	must(err)
	s.watched("data, deleted", data, func() { s.remove("/w", -1) })
	s.watched("children, deleted", kids, func() {})
}

func (s *script) run() string {
	s.nodes()
	s.multis()
	s.watches()
	return strings.Join(s.lines, "\n")
}

func TestFakeAnswersAsARealServerDoes(t *testing.T) {
	server := StartServer(t)
	theirReplies := (&script{t: t, conn: connect(t, 10*time.Second, server.Addr())}).run()
	var fake string
	var txns []Txn
	synctest.Test(t, func(t *testing.T) {
		f := NewFake(FakeConfig{})
		defer f.Close()
		conn, _, done := connectFake(t, f.Link, 10*time.Second)
		defer done()
		fake = (&script{t: t, conn: conn}).run()
		txns = f.Txns()
	})
	diff(t, "replies", fake, theirReplies)

	var ours, theirs []string
	for _, txn := range txns {
		ours = append(ours, txn.what())
	}
	for _, txn := range server.Txns(t) {
		theirs = append(theirs, txn.what())
	}
	diff(t, "transactions", strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
}

// diff reports the lines in which the fake differs from the real server.
func diff(t *testing.T, what, fake, server string) {
	t.Helper()
	f, r := strings.Split(fake, "\n"), strings.Split(server, "\n")
	for i := range max(len(f), len(r)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(f) {
			a = f[i]
		}
		if i < len(r) {
			b = r[i]
		}
		if a != b {
			t.Errorf("%s, line %d:\n fake %s\n real %s", what, i+1, a, b)
		}
	}
}
