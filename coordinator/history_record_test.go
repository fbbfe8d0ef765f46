package coordinator

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/ha/zk"
	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/history"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// land is a backend whose accepted transactions can be looked at.
type land interface {
	// join returns a new participant's access.
	join(t *testing.T, id string) place
	// news returns what was committed since the last call, in its true order.
	news() []history.Event
}

// place is a participant's access, and what can happen to it.
type place struct {
	ha.Services
	// expire ends its session at the backend.
	expire func()
	// kill takes it away for good: nobody closes its session.
	kill func()
	// cut takes its connection away until mend is called.
	cut, mend func()
	// drop breaks its connection, which it may make anew at once.
	drop func()
	// lose lets the next transaction on the path happen, and its reply be lost with the
	// connection.
	lose func(path string)
}

// chronicle writes down what happens. Commits that took effect before an event stand
// before it.
type chronicle struct {
	land land

	mu     sync.Mutex
	events []history.Event
}

func (r *chronicle) note(events ...history.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(append(r.events, r.land.news()...), events...)
}

// all returns the history so far.
func (r *chronicle) all() []history.Event {
	r.note()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// write translates one operation.
func write(kind txn.Kind, path string, data []byte) history.Write {
	for folder, thing := range map[string]history.Thing{
		layout.Graphs: history.Graph, layout.Progress: history.Progress, layout.Outputs: history.Output,
		layout.Quarantine: history.Quarantine, layout.Dirty: history.Dirty, layout.Clean: history.Clean,
	} {
		below, ok := strings.CutPrefix(path, folder+"/")
		if !ok {
			continue
		}
		parts := strings.SplitN(below, "/", 3) // bucket, ID, name
		if len(parts) < 2 {
			return history.Write{} // a bucket
		}
		w := history.Write{Thing: thing, Job: parts[1], Gone: kind == txn.Delete || kind == txn.Remove}
		if len(parts) > 2 {
			w.Name = parts[2]
		}
		switch {
		case w.Gone:
		case thing == history.Dirty, thing == history.Clean:
			w.Content = storedResult(data)
		case thing == history.Progress && kind == txn.Put:
			w.Subtasks = []string{onlySubtask} // the one thing that workers here record
		}
		return w
	}
	return history.Write{}
}

// storedResult is what a result says.
func storedResult(data []byte) string {
	var r job.Result
	if err := envelope.Open("job result", 1, data, &r); err != nil {
		return err.Error()
	}
	return outcome(r.Snapshot)
}

// outcome is what must stay the same of a job's end.
func outcome(s job.Snapshot) string {
	return fmt.Sprintf("%s at %s in epoch %d %s", s.Status, s.FinishedAt, s.Epoch, s.Error)
}

// inMemory is the embedded backend as a land.
type inMemory struct {
	*embedded.Backend
	seen int
}

func newInMemory(t *testing.T) land {
	t.Helper()
	b, err := embedded.New(embedded.Config{KeepCommits: true})
	if err != nil {
		t.Fatal(err)
	}
	return &inMemory{Backend: b}
}

func (l *inMemory) join(_ *testing.T, id string) place {
	p := l.Participant(id)
	return place{
		Services: p, expire: p.Expire, kill: p.Kill, cut: p.Disconnect, mend: p.Reconnect,
		drop: func() { p.Disconnect(); p.Reconnect() },
		lose: func(string) {}, // there is no reply apart from the call's end
	}
}

func (l *inMemory) news() []history.Event {
	var events []history.Event
	for _, c := range l.Commits(l.seen) {
		l.seen++
		e := history.Event{Kind: history.Committed, Epoch: int64(c.Epoch)}
		for _, op := range c.Ops {
			e.Writes = append(e.Writes, write(op.Kind, op.Path, op.Data))
		}
		events = append(events, e)
	}
	return events
}

// fakeRoot is the cluster's root in a fake ZooKeeper.
const fakeRoot = "/suite/c"

// inFake is the ZooKeeper backend and client over a fake server, as a land.
type inFake struct {
	*zookeepertest.Fake
	seen   int
	epochs map[string]int64 // of latch nodes
}

func newInFake(t *testing.T) land {
	t.Helper()
	f := zookeepertest.NewFake(zookeepertest.FakeConfig{})
	t.Cleanup(f.Close)
	return &inFake{Fake: f, epochs: make(map[string]int64)}
}

func (l *inFake) join(t *testing.T, _ string) place {
	t.Helper()
	link := l.NewLink()
	services, err := zk.New(zk.Config{Servers: []string{"127.0.0.1:2181"}, Root: fakeRoot, Dial: link.DialContext})
	if err != nil {
		t.Fatal(err)
	}
	newest := &sessionOf{}
	link.Delay(newest.note)
	return place{
		Services: services,
		expire:   func() { l.ExpireSession(newest.id()) },
		kill:     func() { link.Refuse(true); link.Drop() },
		cut:      func() { link.Freeze() }, mend: link.Unfreeze,
		drop: link.Drop,
		lose: func(path string) {
			link.DropReplyOf(func(r zookeepertest.Request) bool {
				return r.Path == fakeRoot+"/"+path ||
					slices.ContainsFunc(r.Ops, func(op zookeepertest.Request) bool { return op.Path == fakeRoot+"/"+path })
			})
		},
	}
}

func (l *inFake) news() []history.Event {
	var events []history.Event
	all := l.Txns()
	for _, t := range all[l.seen:] {
		if e, ok := l.event(t); ok {
			events = append(events, e)
		}
	}
	l.seen = len(all)
	return events
}

// event translates a transaction; it reports false for one that is no leader's.
func (l *inFake) event(t zookeepertest.Txn) (history.Event, bool) {
	e := history.Event{Kind: history.Committed}
	if len(t.Ops) > 0 && t.Ops[0].Op == zookeepertest.OpCheck {
		e.Epoch = l.epochs[t.Ops[0].Path]
	}
	kinds := map[zookeepertest.Op]txn.Kind{
		zookeepertest.OpCreate: txn.Create, zookeepertest.OpDelete: txn.Delete, zookeepertest.OpSetData: txn.Put,
	}
	for _, w := range t.Writes() {
		if strings.HasPrefix(w.Path, zk.LatchPath(fakeRoot)+"/") {
			if w.Op == zookeepertest.OpCreate {
				l.epochs[w.Path] = w.Zxid
			}
			continue
		}
		path, ok := strings.CutPrefix(w.Path, fakeRoot+"/")
		if ok && strings.Contains(path, "/") {
			e.Writes = append(e.Writes, write(kinds[w.Op], path, w.Data))
		}
	}
	return e, len(e.Writes) > 0
}

// sessionOf remembers the session of a link's newest request.
type sessionOf struct {
	mu     sync.Mutex
	newest int64
}

// note is a Delay of none.
func (s *sessionOf) note(r zookeepertest.Request) (before, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = r.Session
	return 0, 0
}

func (s *sessionOf) id() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest
}

// pathOf is where a folder keeps what is the job's.
func pathOf(folder string, id job.ID) string {
	path, err := layout.Path(folder, string(id))
	if err != nil {
		panic(err)
	}
	return path
}
