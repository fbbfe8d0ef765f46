package jobstoretest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

func driverTests() []test {
	return append([]test{
		{"what was created is read back", createAndGet},
		{"a path is created once", createTwice},
		{"put needs its path", put},
		{"delete needs its path and remove does not", deleteAndRemove},
		{"a transaction is applied whole or not at all", atomicity},
		{"list gives the names directly below", list},
		{"values of 500 KiB are kept", largeValue},
		{"what is too large is refused before anything is written", tooLarge},
		{"values belong to whoever holds them", aliasing},
		{"a context that has ended ends the call", canceled},
	}, fenceTests()...)
}

func creating(path, data string) txn.Op {
	return txn.Op{Kind: txn.Create, Path: path, Data: []byte(data)}
}

func commit(t testing.TB, d jobstore.Driver, g leader.Guard, ops ...txn.Op) {
	t.Helper()
	if err := d.Commit(t.Context(), g, ops...); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// holds checks the value at path.
func holds(t testing.TB, d jobstore.Driver, g leader.Guard, path, want string) {
	t.Helper()
	data, err := d.Get(t.Context(), g, path)
	if err != nil {
		t.Errorf("get %s: %v, want %q", path, err, want)
	} else if string(data) != want {
		t.Errorf("%s holds %d bytes %.40q, want %d bytes %.40q", path, len(data), data, len(want), want)
	}
}

// free checks that nothing is at path.
func free(t testing.TB, d jobstore.Driver, g leader.Guard, path string) {
	t.Helper()
	if data, err := d.Get(t.Context(), g, path); !errors.Is(err, txn.ErrNotFound) {
		t.Errorf("get %s: %.40q, %v; want ErrNotFound", path, data, err)
	}
}

// fails checks an error, and that it names what an operator must know.
func fails(t testing.TB, err, want error, names ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
		return
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("error %q does not name %q", err, name)
		}
	}
}

func createAndGet(t *testing.T, h Harness) {
	t.Helper()
	g := h.Lead(t)
	free(t, h.Driver, g, "jobgraphs/5e/etl")
	commit(t, h.Driver, g, creating("jobgraphs/5e/etl", "graph"), creating("progress/5e/etl", "\x00\xff"))
	holds(t, h.Driver, g, "jobgraphs/5e/etl", "graph")
	holds(t, h.Driver, g, "progress/5e/etl", "\x00\xff")
}

func createTwice(t *testing.T, h Harness) {
	t.Helper()
	g := h.Lead(t)
	commit(t, h.Driver, g, creating("a/b/c", "first"))
	fails(t, h.Driver.Commit(t.Context(), g, creating("a/b/c", "second")), txn.ErrExists, "a/b/c")
	holds(t, h.Driver, g, "a/b/c", "first")
}

func put(t *testing.T, h Harness) {
	t.Helper()
	g := h.Lead(t)
	replace := txn.Op{Kind: txn.Put, Path: "a/b/c", Data: []byte("new")}
	fails(t, h.Driver.Commit(t.Context(), g, replace), txn.ErrNotFound, "a/b/c")
	free(t, h.Driver, g, "a/b/c")
	commit(t, h.Driver, g, creating("a/b/c", "old"))
	commit(t, h.Driver, g, replace)
	holds(t, h.Driver, g, "a/b/c", "new")
}

func deleteAndRemove(t *testing.T, h Harness) {
	t.Helper()
	g := h.Lead(t)
	for _, kind := range []txn.Kind{txn.Delete, txn.Remove} {
		commit(t, h.Driver, g, creating("a/b/c", "data"), creating("a/b/d", "other"))
		commit(t, h.Driver, g, txn.Op{Kind: kind, Path: "a/b/c"})
		free(t, h.Driver, g, "a/b/c")
		holds(t, h.Driver, g, "a/b/d", "other")
		commit(t, h.Driver, g, txn.Op{Kind: kind, Path: "a/b/d"})
	}
	fails(t, h.Driver.Commit(t.Context(), g, txn.Op{Kind: txn.Delete, Path: "a/b/c"}), txn.ErrNotFound, "a/b/c")
	commit(t, h.Driver, g, txn.Op{Kind: txn.Remove, Path: "a/b/c"}, txn.Op{Kind: txn.Remove, Path: "never/was/there"})
}

func atomicity(t *testing.T, h Harness) {
	t.Helper()
	g := h.Lead(t)
	commit(t, h.Driver, g, creating("s/old", "old"), creating("s/taken", "taken"))
	change := []txn.Op{
		creating("s/new", "new"),
		{Kind: txn.Put, Path: "s/old", Data: []byte("changed")},
		{Kind: txn.Remove, Path: "s/absent"},
	}
	for _, c := range []struct {
		op   txn.Op
		want error
	}{
		{creating("s/taken", "again"), txn.ErrExists},
		{txn.Op{Kind: txn.Put, Path: "s/missing", Data: []byte("x")}, txn.ErrNotFound},
		{txn.Op{Kind: txn.Delete, Path: "s/missing"}, txn.ErrNotFound},
	} {
		for at := range len(change) + 1 {
			ops := slices.Insert(slices.Clone(change), at, c.op)
			err := h.Driver.Commit(t.Context(), g, ops...)
			fails(t, err, c.want, c.op.Path)
			if failed, ok := errors.AsType[*txn.OpError](err); !ok || failed.Path != c.op.Path || failed.Kind != c.op.Kind {
				t.Errorf("error %v, want a txn.OpError of %s %s", err, c.op.Kind, c.op.Path)
			}
			free(t, h.Driver, g, "s/new")
			holds(t, h.Driver, g, "s/old", "old")
			holds(t, h.Driver, g, "s/taken", "taken")
		}
	}
	// Moving a value to another place, and removing others, is one transaction.
	commit(t, h.Driver, g,
		txn.Op{Kind: txn.Delete, Path: "s/old"}, creating("t/old", "moved"), txn.Op{Kind: txn.Remove, Path: "s/taken"})
	free(t, h.Driver, g, "s/old")
	free(t, h.Driver, g, "s/taken")
	holds(t, h.Driver, g, "t/old", "moved")
}

func list(t *testing.T, h Harness) {
	t.Helper()
	g := h.Lead(t)
	lists(t, h.Driver, g, "jobgraphs")
	lists(t, h.Driver, g, "jobgraphs/00")
	commit(t, h.Driver, g, creating("jobgraphs/00/a", "1"), creating("jobgraphs/00/b", "2"), creating("jobgraphs/01/c", "3"))
	lists(t, h.Driver, g, "jobgraphs", "00", "01")
	lists(t, h.Driver, g, "jobgraphs/00", "a", "b")
	commit(t, h.Driver, g, txn.Op{Kind: txn.Delete, Path: "jobgraphs/00/a"})
	lists(t, h.Driver, g, "jobgraphs/00", "b")
}

func lists(t testing.TB, d jobstore.Driver, g leader.Guard, path string, want ...string) {
	t.Helper()
	got, err := d.List(t.Context(), g, path)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("list %s: %q, %v; want %q", path, got, err, want)
	}
}

func largeValue(t *testing.T, h Harness) {
	t.Helper()
	g := h.Lead(t)
	data := noise(500 << 10)
	commit(t, h.Driver, g, creating("a/large", data), creating("a/small", "small"))
	holds(t, h.Driver, g, "a/large", data)
	holds(t, h.Driver, h.Lead(t), "a/large", data)
}

func tooLarge(t *testing.T, h Harness) {
	t.Helper()
	g := h.Lead(t)
	for name, ops := range map[string][]txn.Op{
		"one value":   {creating("a/small", "small"), creating("a/large", noise(2<<20))},
		"many values": {creating("a/small", "small"), creating("a/1", noise(500<<10)), creating("a/2", noise(500<<10)), creating("a/3", noise(500<<10))},
	} {
		t.Run(name, func(t *testing.T) {
			fails(t, h.Driver.Commit(t.Context(), g, ops...), txn.ErrTooLarge)
			for _, op := range ops {
				free(t, h.Driver, g, op.Path)
			}
		})
	}
	commit(t, h.Driver, g, creating("a/after", "the term goes on"))
}

func aliasing(t *testing.T, h Harness) {
	t.Helper()
	g := h.Lead(t)
	data := []byte("data")
	commit(t, h.Driver, g, txn.Op{Kind: txn.Create, Path: "a/b", Data: data})
	data[0] = 'X'
	holds(t, h.Driver, g, "a/b", "data")
	got, err := h.Driver.Get(t.Context(), g, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	got[0] = 'X'
	holds(t, h.Driver, g, "a/b", "data")
}

func canceled(t *testing.T, h Harness) {
	t.Helper()
	g := h.Lead(t)
	commit(t, h.Driver, g, creating("a/b", "data"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for call, err := range calls(ctx, h.Driver, g) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: %v, want its error", call, err)
		}
	}
	holds(t, h.Driver, g, "a/b", "data")
}

// calls makes each call of a driver once and returns the errors.
func calls(ctx context.Context, d jobstore.Driver, g leader.Guard) map[string]error {
	_, get := d.Get(ctx, g, "a/b")
	_, absent := d.Get(ctx, g, "a/absent")
	_, list := d.List(ctx, g, "a")
	return map[string]error{
		"Get":              get,
		"Get of nothing":   absent,
		"List":             list,
		"Commit":           d.Commit(ctx, g, creating("a/new", "new")),
		"Commit that must": d.Commit(ctx, g, txn.Op{Kind: txn.Put, Path: "a/b", Data: []byte("fenced")}),
		"Commit in vain":   d.Commit(ctx, g, creating("a/b", "again")),
	}
}

// noise returns data that does not compress.
func noise(n int) string {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	return string(data)
}
