package format

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

const (
	// Current is the format version that this release writes.
	Current = 1
	// Newest is the newest format version that this release reads.
	Newest = Current + 1
)

// What a caller of Pass decides upon, besides leader.ErrFenced; compare with
// errors.Is.
var (
	// ErrNewerFormat: the cluster is in a format that this release cannot read. It
	// is not damaged: leave it alone, and let a newer node lead.
	ErrNewerFormat = envelope.ErrNewerFormat
	// ErrDamaged: the node that says which format it is cannot be read.
	ErrDamaged = envelope.ErrDamaged
)

// Driver is what is needed of the backend's guarded storage; ha.Store is one.
// Paths are relative, without a leading slash.
type Driver interface {
	// Get returns the data at path. Errors: txn.ErrNotFound, leader.ErrFenced, or
	// ctx's. It blocks while the backend is away.
	Get(ctx context.Context, g leader.Guard, path string) ([]byte, error)
	// Commit applies ops all together or not at all, while the guard's term leads.
	// Errors: txn.ErrExists, leader.ErrFenced, txn.ErrUnknownOutcome, or ctx's.
	Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error
}

// Config is what New needs.
type Config struct {
	// Driver reaches the cluster's storage. Required.
	Driver Driver
	// Release names this release of coordd, for people: "v0.4.0". Empty is "unknown".
	Release string
	// Node names this node, for people. Empty is allowed.
	Node string
}

// Gate lets a term pass if this release can read the cluster. Make one with New.
type Gate struct {
	cfg Config
	// newest is Newest, but in tests of other releases.
	newest int
	// current is Current, but in tests of other releases.
	current int
}

// New returns a gate that has done nothing. Its error names what is missing.
func New(cfg Config) (*Gate, error) {
	if cfg.Driver == nil {
		return nil, errors.New("format: Config.Driver is required")
	}
	if cfg.Release == "" {
		cfg.Release = "unknown"
	}
	return &Gate{cfg: cfg, newest: Newest, current: Current}, nil
}

// record is the stored form of a cluster's format.
type record struct {
	Format  int       `json:"format"`
	Release string    `json:"release"`
	Node    string    `json:"node,omitempty"`
	At      time.Time `json:"at"`
}

// Pass reads the cluster's format, and writes it if this is the first term of the
// cluster. It blocks while the backend is away. Errors: ErrNewerFormat, ErrDamaged,
// leader.ErrFenced, txn.ErrUnknownOutcome, ctx's, or what the backend answered.
func (c *Gate) Pass(ctx context.Context, g leader.Guard) error {
	data, err := c.cfg.Driver.Get(ctx, g, layout.Format)
	if errors.Is(err, txn.ErrNotFound) {
		return c.create(ctx, g)
	}
	if err != nil {
		return fmt.Errorf("read the cluster's format: %w", err)
	}
	return c.judge(data)
}

// create writes the format of a cluster that has none yet. Nobody else can have
// written it since it was looked for: that would have deposed this term.
func (c *Gate) create(ctx context.Context, g leader.Guard) error {
	data, err := encode(record{Format: c.current, Release: c.cfg.Release, Node: c.cfg.Node, At: time.Now().UTC()})
	if err == nil {
		err = c.cfg.Driver.Commit(ctx, g, txn.Op{Kind: txn.Create, Path: layout.Format, Data: data})
	}
	if err != nil {
		return fmt.Errorf("write the cluster's format: %w", err)
	}
	return nil
}

func (c *Gate) judge(data []byte) error {
	r, err := decode(data)
	if err != nil {
		return fmt.Errorf("read the cluster's format at %q: %w; if all nodes run this release, delete that node, and the next leader writes it again",
			layout.Format, err)
	}
	if r.Format > c.newest {
		by := r.Release
		if r.Node != "" {
			by += " on " + r.Node
		}
		return fmt.Errorf("the cluster's format: %w: version %d, written by coordd %s; this is coordd %s and reads up to version %d: upgrade this node",
			ErrNewerFormat, r.Format, by, c.cfg.Release, c.newest)
	}
	return nil
}

func encode(r record) ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return envelope.Encode(payload)
}

// decode reads the record of whatever release.
func decode(data []byte) (record, error) {
	payload, err := envelope.Decode(data)
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(payload, &r); err != nil {
		return record{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if r.Format < 1 {
		return record{}, fmt.Errorf("%w: it names no version", ErrDamaged)
	}
	return r, nil
}
