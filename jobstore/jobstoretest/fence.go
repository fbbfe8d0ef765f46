package jobstoretest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

func fenceTests() []test {
	return []test{
		{"a deposed term reads and writes nothing", fenced},
		{"a guard of no term is refused", noGuard},
		{"epochs grow from term to term", epochs},
		{"a successor sees all that was written", successor},
		{"no write is accepted once another term began", deposedWhileWriting},
		{"of two that create a path one wins", race},
	}
}

func fenced(t *testing.T, h Harness) {
	t.Helper()
	old := h.Lead(t)
	commit(t, h.Driver, old, creating("a/b", "data"))
	now := h.Lead(t)
	for call, err := range calls(t.Context(), h.Driver, old) {
		if !errors.Is(err, leader.ErrFenced) {
			t.Errorf("%s of a deposed term: %v, want ErrFenced", call, err)
		}
	}
	free(t, h.Driver, now, "a/new")
	holds(t, h.Driver, now, "a/b", "data")
}

func noGuard(t *testing.T, h Harness) {
	t.Helper()
	now := h.Lead(t)
	commit(t, h.Driver, now, creating("a/b", "data"))
	type foreign struct{}
	for name, g := range map[string]leader.Guard{
		"zero":    {},
		"foreign": leader.NewGuard(now.Epoch(), foreign{}),
	} {
		for call, err := range calls(t.Context(), h.Driver, g) {
			if !errors.Is(err, leader.ErrFenced) {
				t.Errorf("%s with the %s guard: %v, want ErrFenced", call, name, err)
			}
		}
	}
	free(t, h.Driver, now, "a/new")
	holds(t, h.Driver, now, "a/b", "data")
}

func epochs(t *testing.T, h Harness) {
	t.Helper()
	last := h.Lead(t)
	for range 3 {
		next := h.Lead(t)
		if next.Epoch() <= last.Epoch() {
			t.Errorf("epoch %d follows %d, want it to grow", next.Epoch(), last.Epoch())
		}
		last = next
	}
}

func successor(t *testing.T, h Harness) {
	t.Helper()
	const n = 20
	g := h.Lead(t)
	for i := range n {
		commit(t, h.Driver, g, creating(fmt.Sprintf("a/%d", i), strconv.Itoa(i)))
	}
	g = h.Lead(t)
	for i := range n {
		holds(t, h.Driver, g, fmt.Sprintf("a/%d", i), strconv.Itoa(i))
	}
}

// deposedWhileWriting lets a term write without pause while it is deposed. What
// the next term sees first must stay as it is.
func deposedWhileWriting(t *testing.T, h Harness) {
	t.Helper()
	old := h.Lead(t)
	commit(t, h.Driver, old, creating("a/counter", "0"))
	ctx := t.Context()
	writing, deposed := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- countUp(ctx, h.Driver, old, writing, deposed) }()
	<-writing

	now := h.Lead(t)
	close(deposed)
	before, err := h.Driver.Get(ctx, now, "a/counter")
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, leader.ErrFenced) {
		t.Errorf("the deposed term's writes ended with %v, want ErrFenced", err)
	}
	holds(t, h.Driver, now, "a/counter", string(before))
}

// countUp closes writing after some writes, and goes on until one fails or some
// were stored although the term was deposed.
func countUp(ctx context.Context, d jobstore.Driver, g leader.Guard, writing chan<- struct{}, deposed <-chan struct{}) error {
	for i, late := 1, 0; late < 10; i++ {
		select {
		case <-deposed:
			late++
		default:
		}
		if err := d.Commit(ctx, g, txn.Op{Kind: txn.Put, Path: "a/counter", Data: []byte(strconv.Itoa(i))}); err != nil {
			if i <= 5 {
				close(writing)
			}
			return err
		}
		if i == 5 {
			close(writing)
		}
	}
	return nil
}

func race(t *testing.T, h Harness) {
	t.Helper()
	const n = 8
	g := h.Lead(t)
	errs := make([]error, n)
	var writers sync.WaitGroup
	for i := range n {
		writers.Go(func() {
			errs[i] = h.Driver.Commit(t.Context(), g, creating("a/one", strconv.Itoa(i)), creating(fmt.Sprintf("b/%d", i), "x"))
		})
	}
	writers.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won < 0:
			won = i
		case err == nil:
			t.Errorf("writers %d and %d both created one path", won, i)
		case !errors.Is(err, txn.ErrExists):
			t.Errorf("writer %d: %v, want ErrExists", i, err)
		}
	}
	if won < 0 {
		t.Fatalf("nobody created the path: %v", errs)
	}
	holds(t, h.Driver, g, "a/one", strconv.Itoa(won))
	lists(t, h.Driver, g, "b", strconv.Itoa(won))
}
