package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// ErrOtherStore: the folder is not the one in which the cluster keeps its blobs.
var ErrOtherStore = errors.New("not the cluster's folder of blobs")

// Driver is what a Gate needs of the backend's guarded storage; ha.Store is one.
// Paths are relative, without a leading slash.
type Driver interface {
	// Get returns the data at path. Errors: txn.ErrNotFound, leader.ErrFenced, or
	// ctx's. It blocks while the backend is away.
	Get(ctx context.Context, g leader.Guard, path string) ([]byte, error)
	// Commit applies ops all together or not at all, while the guard's term leads.
	// Errors: txn.ErrExists, txn.ErrNotFound, leader.ErrFenced,
	// txn.ErrUnknownOutcome, or ctx's.
	Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error
}

// GateConfig is what NewGate needs.
type GateConfig struct {
	// Driver reaches the cluster's storage. Required.
	Driver Driver
	// Dir is this node's folder. Nil: it has none.
	Dir *Dir
	// Node names this node, for people. Empty is allowed.
	Node string
}

// Gate lets a term pass if this node has the cluster's blobs. Make one with NewGate.
type Gate struct{ cfg GateConfig }

// NewGate returns a gate that has done nothing. Its error names what is missing.
func NewGate(cfg GateConfig) (*Gate, error) {
	if cfg.Driver == nil {
		return nil, errors.New("blob: GateConfig.Driver is required")
	}
	return &Gate{cfg: cfg}, nil
}

// Pass compares the mark of the folder with that of the cluster, and makes both if
// this is the cluster's first term with a folder. It blocks while the backend or the
// file system is away. Errors: ErrOtherStore, ErrDamaged, ErrNewerFormat,
// leader.ErrFenced, txn.ErrUnknownOutcome, ctx's, or what the backend or the file
// system answered.
func (c *Gate) Pass(ctx context.Context, g leader.Guard) error {
	stored, err := c.stored(ctx, func(ctx context.Context, path string) ([]byte, error) {
		return c.cfg.Driver.Get(ctx, g, path)
	})
	if err != nil {
		return err
	}
	if c.cfg.Dir == nil || stored.Mark != "" {
		return c.compare(stored)
	}
	if stored.Claim == "" {
		stored = record{Claim: rand.Text()}
		if err := c.store(ctx, g, txn.Create, stored); err != nil {
			return err
		}
	}
	mark, err := c.cfg.Dir.makeMark(stored.Claim, c.cfg.Node)
	if err != nil {
		return err
	}
	if mark.Claim != stored.Claim {
		return c.other("its mark is another cluster's, made in %s by %q: give each cluster a folder of its own", mark.Folder, mark.Node)
	}
	return c.store(ctx, g, txn.Put, mark)
}

// Check is Pass for a node that does not lead: it compares, and writes nothing. A
// node that fails it could not lead. read reads a path of the cluster without a
// guard, as Driver.Get does.
func (c *Gate) Check(ctx context.Context, read func(ctx context.Context, path string) ([]byte, error)) error {
	stored, err := c.stored(ctx, read)
	if err != nil {
		return err
	}
	if c.cfg.Dir != nil && stored.Mark == "" {
		return nil // the first term marks it
	}
	return c.compare(stored)
}

// stored returns what the cluster says of its blobs, the zero record when nothing.
func (c *Gate) stored(ctx context.Context, read func(ctx context.Context, path string) ([]byte, error)) (record, error) {
	data, err := read(ctx, layout.Blobs)
	switch {
	case errors.Is(err, txn.ErrNotFound):
		return record{}, nil
	case err != nil:
		return record{}, fmt.Errorf("read the cluster's mark of its blobs: %w", err)
	}
	r, err := decodeRecord(data)
	if err != nil {
		return record{}, fmt.Errorf("read the cluster's mark of its blobs at %q: %w", layout.Blobs, err)
	}
	return r, nil
}

func (c *Gate) store(ctx context.Context, g leader.Guard, kind txn.Kind, r record) error {
	data, err := encodeRecord(r)
	if err == nil {
		err = c.cfg.Driver.Commit(ctx, g, txn.Op{Kind: kind, Path: layout.Blobs, Data: data})
	}
	if err != nil {
		return fmt.Errorf("write the cluster's mark of its blobs: %w", err)
	}
	return nil
}

// compare says whether this node's folder is the one that the cluster marked.
func (c *Gate) compare(stored record) error {
	switch {
	case stored.Mark == "":
		return nil // the cluster has no blobs
	case c.cfg.Dir == nil:
		return c.other("this node has none, and the cluster keeps large graphs in one, %s on %q: start this node with --blob-dir", stored.Folder, stored.Node)
	}
	mark, err := c.cfg.Dir.readMark()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.other("it has no mark, and the cluster marked %s on %q: is the shared folder mounted there? (%w)", stored.Folder, stored.Node, err)
	case err != nil:
		return err
	case mark.Claim != stored.Claim || mark.Mark != stored.Mark:
		return c.other("its mark, made in %s by %q, is not the cluster's, made in %s by %q: all coordinators must share one folder",
			mark.Folder, mark.Node, stored.Folder, stored.Node)
	}
	return nil
}

func (c *Gate) other(format string, args ...any) error {
	folder := "(none)"
	if c.cfg.Dir != nil {
		folder = c.cfg.Dir.Path()
	}
	return fmt.Errorf("blob folder %s: %w: %w", folder, ErrOtherStore, fmt.Errorf(format, args...))
}
