package embedded_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

var errBroken = errors.New("broken")

func TestAFaultHitsTheCallsThatItNames(t *testing.T) {
	for name, c := range map[string]struct {
		fault embedded.Fault
		hits  [5]bool // create a/b/new, put a/b/c, get a/b/c, list a/b, create d/e
	}{
		"everything":        {embedded.Fault{}, [5]bool{true, true, true, true, true}},
		"commits":           {embedded.Fault{Op: embedded.OpCommit}, [5]bool{true, true, false, false, true}},
		"one kind":          {embedded.Fault{Op: "put"}, [5]bool{false, true, false, false, false}},
		"one path":          {embedded.Fault{Path: "a/b/c"}, [5]bool{false, true, true, false, false}},
		"a pattern":         {embedded.Fault{Path: "*/b"}, [5]bool{false, false, false, true, false}},
		"a prefix":          {embedded.Fault{Path: "a/"}, [5]bool{true, true, true, true, false}},
		"one kind and path": {embedded.Fault{Op: "create", Path: "d/e"}, [5]bool{false, false, false, false, true}},
		"a participant":     {embedded.Fault{Participant: "a"}, [5]bool{true, true, true, true, true}},
		"another":           {embedded.Fault{Participant: "b"}, [5]bool{}},
		"the second":        {embedded.Fault{Skip: 1, Times: 1}, [5]bool{false, true, false, false, false}},
		"the first two":     {embedded.Fault{Times: 2}, [5]bool{true, true, false, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, embedded.Config{})
			p := started(t, b, "a")
			g := campaign(t, p).Guard()
			if err := create(p, g, "a/b/c"); err != nil {
				t.Fatal(err)
			}
			c.fault.Err = errBroken
			remove := b.Inject(c.fault)
			for i, err := range fiveCalls(t, p.Store(), g) {
				if got := errors.Is(err, errBroken); got != c.hits[i] || err != nil && !got {
					t.Errorf("call %d: %v, want a fault: %t", i, err, c.hits[i])
				}
			}
			remove()
			remove()
			if err := create(p, g, "after"); err != nil {
				t.Errorf("a fault hit after it was removed: %v", err)
			}
		})
	}
}

func fiveCalls(t *testing.T, s ha.Store, g leader.Guard) (errs [5]error) {
	t.Helper()
	errs[0] = s.Commit(t.Context(), g, txn.Op{Kind: txn.Create, Path: "a/b/new"})
	errs[1] = s.Commit(t.Context(), g, txn.Op{Kind: txn.Put, Path: "a/b/c"})
	_, errs[2] = s.Get(t.Context(), g, "a/b/c")
	_, errs[3] = s.List(t.Context(), g, "a/b")
	errs[4] = s.Commit(t.Context(), g, txn.Op{Kind: txn.Create, Path: "d/e"})
	return errs
}

func TestALostReplyIsAFaultWithEffect(t *testing.T) {
	b := newBackend(t, embedded.Config{})
	p := started(t, b, "a")
	g := campaign(t, p).Guard()
	b.Inject(embedded.Fault{Op: embedded.OpCommit, Times: 1, After: true, Err: txn.ErrUnknownOutcome})
	if err := create(p, g, "x"); !errors.Is(err, txn.ErrUnknownOutcome) {
		t.Errorf("the write ended with %v, want ErrUnknownOutcome", err)
	}
	if data, err := p.Store().Get(t.Context(), g, "x"); err != nil || string(data) != "x" {
		t.Errorf("read %q, %v; want the write to have taken effect", data, err)
	}
}

func TestAHookCanKillTheProcessAtAnyCall(t *testing.T) {
	for name, effect := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t, embedded.Config{})
				p, other := started(t, b, "a"), started(t, b, "b")
				g := campaign(t, p).Guard()
				b.Inject(embedded.Fault{Participant: "a", Skip: 1, Times: 1, After: effect, Err: embedded.ErrKilled, Hook: p.Kill})
				if err := create(p, g, "first"); err != nil {
					t.Fatal(err)
				}
				for _, path := range []string{"second", "third"} {
					if err := create(p, g, path); !errors.Is(err, embedded.ErrKilled) {
						t.Errorf("create %s: %v, want ErrKilled", path, err)
					}
				}
				next := campaign(t, other).Guard()
				for path, want := range map[string]bool{"first": true, "second": effect, "third": false} {
					_, err := other.Store().Get(t.Context(), next, path)
					if got := err == nil; got != want {
						t.Errorf("%s is there: %t, want %t", path, got, want)
					}
				}
			})
		})
	}
}

func TestPublishTriesAgainThroughFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{})
		p := started(t, b, "a")
		tenure := campaign(t, p)
		b.Inject(embedded.Fault{Op: embedded.OpPublish, Path: "leader/dispatcher", Times: 3, Err: errBroken})
		if err := tenure.Publish(t.Context(), info("a", tenure)); err != nil {
			t.Errorf("Publish: %v, want it to go on until it holds", err)
		}
		if _, ok := b.Published(leader.Dispatcher); !ok {
			t.Error("nothing is published")
		}

		b.Inject(embedded.Fault{Op: embedded.OpPublish, Err: errBroken})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := tenure.Publish(ctx, info("a", tenure)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish: %v, want its context's error", err)
		}
		done := make(chan error, 1)
		go func() { done <- tenure.Publish(t.Context(), info("a", tenure)) }()
		synctest.Wait()
		p.Expire()
		if err := <-done; !errors.Is(err, leader.ErrFenced) {
			t.Errorf("Publish: %v, want ErrFenced once the term is lost", err)
		}
	})
}

func TestAMalformedPatternIsAMistakeInTheTest(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Inject took a malformed pattern")
		}
	}()
	newBackend(t, embedded.Config{}).Inject(embedded.Fault{Path: "["})
}

func TestMalformedTransactionsAreRefused(t *testing.T) {
	b := newBackend(t, embedded.Config{})
	p := started(t, b, "a")
	g := campaign(t, p).Guard()
	for name, ops := range map[string][]txn.Op{
		"unknown kind":   {{Kind: 9, Path: "a"}},
		"path twice":     {{Kind: txn.Create, Path: "a"}, {Kind: txn.Put, Path: "a"}},
		"leading slash":  {{Kind: txn.Create, Path: "/a"}},
		"parent":         {{Kind: txn.Create, Path: "a/../b"}},
		"empty path":     {{Kind: txn.Remove}},
		"trailing slash": {{Kind: txn.Create, Path: "a/"}},
	} {
		if err := p.Store().Commit(t.Context(), g, ops...); err == nil {
			t.Errorf("%s: committed, want an error", name)
		}
	}
	if names, err := p.Store().List(t.Context(), g, "a"); err != nil || len(names) > 0 {
		t.Errorf("list: %q, %v; want nothing", names, err)
	}
}
