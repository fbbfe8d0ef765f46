package blob

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// cluster is a backend's storage.
type cluster struct {
	values map[string][]byte
	writes int
	// crashAt is the write that fails, from 1; with effect if late.
	crashAt int
	late    bool
}

func newCluster() *cluster { return &cluster{values: map[string][]byte{}} }

func (c *cluster) Get(_ context.Context, _ leader.Guard, path string) ([]byte, error) {
	data, ok := c.values[path]
	if !ok {
		return nil, txn.ErrNotFound
	}
	return data, nil
}

func (c *cluster) Commit(_ context.Context, _ leader.Guard, ops ...txn.Op) error {
	c.writes++
	if c.writes == c.crashAt && !c.late {
		return leader.ErrFenced
	}
	for _, op := range ops {
		if _, there := c.values[op.Path]; there != (op.Kind == txn.Put) {
			return fmt.Errorf("%s of %s: there=%v", op.Kind, op.Path, there)
		}
		c.values[op.Path] = op.Data
	}
	if c.writes == c.crashAt {
		return txn.ErrUnknownOutcome
	}
	return nil
}

// read reads without a guard.
func (c *cluster) read(ctx context.Context, path string) ([]byte, error) {
	return c.Get(ctx, leader.Guard{}, path)
}

func gateOf(t *testing.T, c *cluster, d *Dir) *Gate {
	t.Helper()
	g, err := NewGate(GateConfig{Driver: c, Dir: d, Node: "node-1"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// passes checks both ways through the gate: that of a term, and that of a start.
func passes(t *testing.T, c *cluster, d *Dir, want error, part string) {
	t.Helper()
	g := gateOf(t, c, d)
	writes := c.writes
	for how, err := range map[string]error{"Pass": g.Pass(t.Context(), leader.Guard{}), "Check": g.Check(t.Context(), c.read)} {
		if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %v with %q", how, err, want, part)
		}
	}
	if want != nil && c.writes != writes {
		t.Errorf("wrote %d times, want never", c.writes-writes)
	}
}

func mark(t *testing.T, c *cluster, d *Dir) {
	t.Helper()
	if err := gateOf(t, c, d).Pass(t.Context(), leader.Guard{}); err != nil {
		t.Fatal(err)
	}
}

func TestAClusterIsLedOnlyWithItsFolder(t *testing.T) {
	c, shared, own := newCluster(), newDir(t), newDir(t)
	if err := gateOf(t, c, nil).Pass(t.Context(), leader.Guard{}); err != nil || c.writes != 0 {
		t.Errorf("a cluster without blobs: %v and %d writes, want neither", err, c.writes)
	}
	mark(t, c, shared)
	writes := c.writes
	mark(t, c, shared)
	if c.writes != writes {
		t.Errorf("a later term wrote %d times, want never", c.writes-writes)
	}
	passes(t, c, shared, nil, "")
	passes(t, c, own, ErrOtherStore, "mounted")
	passes(t, c, nil, ErrOtherStore, "--blob-dir")
	other := newCluster()
	mark(t, other, own)
	passes(t, c, own, ErrOtherStore, "share one folder")
}

func TestAFolderBelongsToOneCluster(t *testing.T) {
	first, second, d := newCluster(), newCluster(), newDir(t)
	mark(t, first, d)
	err := gateOf(t, second, d).Pass(t.Context(), leader.Guard{})
	if !errors.Is(err, ErrOtherStore) || !strings.Contains(err.Error(), "a folder of its own") {
		t.Errorf("the second cluster: %v, want ErrOtherStore with the remedy", err)
	}
	mark(t, first, d)
}

func TestTheFirstTermMayEndAtAnyStep(t *testing.T) {
	for _, late := range []bool{false, true} {
		for k := 1; ; k++ {
			c, shared, own := newCluster(), newDir(t), newDir(t)
			c.crashAt, c.late = k, late
			if err := gateOf(t, c, shared).Pass(t.Context(), leader.Guard{}); err == nil {
				if k < 3 {
					t.Errorf("the first term wrote %d times: the claim does not come before the mark", k-1)
				}
				break
			}
			// Whoever leads next, with whatever folder: afterwards exactly one of them
			// is the cluster's.
			nextErr := gateOf(t, c, own).Pass(t.Context(), leader.Guard{})
			sharedErr := gateOf(t, c, shared).Pass(t.Context(), leader.Guard{})
			if (nextErr == nil) == (sharedErr == nil) {
				t.Errorf("write %d failed, late=%v: the other folder: %v, the first one: %v; want exactly one to pass",
					k, late, nextErr, sharedErr)
			}
		}
	}
}

func TestAMarkThatCannotBeReadEndsTheTerm(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want error
	}{
		"garbage":   {"garbage", ErrDamaged},
		"empty":     {"", ErrDamaged},
		"no mark":   {`{"v":1,"claim":"x"}`, ErrDamaged},
		"newer":     {`{"v":3}`, ErrNewerFormat},
		"another's": {`{"v":1,"claim":"x","mark":"y"}`, ErrOtherStore},
	} {
		t.Run(name, func(t *testing.T) {
			backend, d := newCluster(), newDir(t)
			mark(t, backend, d)
			if err := os.WriteFile(filepath.Join(d.path, markFile), []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			passes(t, backend, d, c.want, d.path)
		})
	}
	for value, want := range map[string]error{`{"v":3}`: ErrNewerFormat, `{"v":1}`: ErrDamaged} {
		stored, err := envelope.Encode([]byte(value))
		if err != nil {
			t.Fatal(err)
		}
		backend := newCluster()
		backend.values[layout.Blobs] = stored
		passes(t, backend, newDir(t), want, "mark of its blobs")
	}
	if _, err := NewGate(GateConfig{}); err == nil {
		t.Error("a gate without a driver was made")
	}
}

func TestTheMarkKeepsItsStoredForm(t *testing.T) {
	golden, err := os.ReadFile("testdata/mark.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	want := record{Version: 1, Claim: "C", Mark: "M", Folder: "/srv/blobs", Node: "node-1"}
	stored, err := encodeRecord(want)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := envelope.Decode(stored)
	if err != nil || string(payload) != strings.TrimSpace(string(golden)) {
		t.Errorf("stored form changed:\n got %s, %v\nwant %s", payload, err, golden)
	}
	if back, err := decodeRecord(stored); err != nil || back != want {
		t.Errorf("read %+v, %v; want %+v", back, err, want)
	}
	d := newDir(t)
	if err := os.WriteFile(filepath.Join(d.path, markFile), golden, 0o600); err != nil {
		t.Fatal(err)
	}
	if back, err := d.readMark(); err != nil || back != want {
		t.Errorf("the folder's mark: %+v, %v; want %+v", back, err, want)
	}
}
