package layout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnIDKeepsItsPlace(t *testing.T) {
	for id, want := range map[string]string{
		"etl":   "jobgraphs/5e/etl",
		"a":     "jobgraphs/ed/a",
		"job-1": "jobgraphs/92/job-1",
	} {
		got, err := Path(Graphs, id)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s stands at %s, want %s: no leader would find the jobs of an earlier release", id, got, want)
		}
	}
}

func TestAWorkerKeepsItsPlace(t *testing.T) {
	if got, ok := Worker("worker-1"); !ok || got != "workers/worker-1" {
		t.Errorf("worker-1 stands at %q, %v; want workers/worker-1", got, ok)
	}
	if got, ok := Worker("../latch"); ok {
		t.Errorf("../latch stands at %q, want it refused", got)
	}
}

func TestIDsSpreadOverTheBuckets(t *testing.T) {
	const n = 25600
	count := map[string]int{}
	for i := range n {
		count[Bucket(fmt.Sprintf("job-%d", i))]++
	}
	if len(count) != 256 {
		t.Errorf("%d buckets are used, want 256", len(count))
	}
	for bucket, got := range count {
		if got > 3*n/256 {
			t.Errorf("bucket %s has %d of %d ids, want at most %d", bucket, got, n, 3*n/256)
		}
	}
}

func TestPathRefusesWhatLeavesTheFolder(t *testing.T) {
	for _, id := range []string{"", ".", "..", ".hidden", "-x", "a/b", "../x", "a b", "a\x00", "ä", strings.Repeat("x", 129)} {
		if got, err := Path(Graphs, id); !errors.Is(err, ErrInvalidID) {
			t.Errorf("id %q: got %q, %v; want ErrInvalidID", id, got, err)
		}
	}
	for _, id := range []string{"a", "9", "a..b", "A_b-c.d", strings.Repeat("x", 128)} {
		if _, err := Path(Graphs, id); err != nil {
			t.Errorf("id %q was refused: %v", id, err)
		}
	}
}

func TestIDsListsEveryBucketWithinItsLimit(t *testing.T) {
	tree := map[string][]string{}
	var want []string
	for i := range 1000 {
		id := fmt.Sprintf("job-%d", i)
		bucket := Bucket(id)
		if len(tree[Graphs+"/"+bucket]) == 0 {
			tree[Graphs] = append(tree[Graphs], bucket)
		}
		tree[Graphs+"/"+bucket] = append(tree[Graphs+"/"+bucket], id)
		want = append(want, id)
	}
	tree[Graphs] = append(tree[Graphs], "foreign")
	tree[Graphs+"/foreign"] = []string{"job-1", "what ever"}

	var now, most atomic.Int64
	got, err := IDs(t.Context(), Graphs, func(_ context.Context, path string) ([]string, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return tree[path], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d ids listed, want %d", len(got), len(want))
	}
	if most.Load() > Concurrency {
		t.Errorf("%d lists at once, want at most %d", most.Load(), Concurrency)
	}
}

func TestIDsReturnsAFailure(t *testing.T) {
	broken := errors.New("broken")
	_, err := IDs(t.Context(), Graphs, func(_ context.Context, path string) ([]string, error) {
		if path == Graphs {
			return []string{"00", "01"}, nil
		}
		return nil, broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the list's own", err)
	}
}
