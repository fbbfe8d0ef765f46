package agent

import (
	"context"

	"github.com/coordd/coordd/blob"
	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/format"
	"github.com/coordd/coordd/ha/zk"
	"github.com/coordd/coordd/jobstore"
)

// useBlobs opens the folder of blobs, if there is one.
func (h *house) useBlobs(folder string) (err error) {
	if folder == "" {
		return nil
	}
	if h.blobs, err = blob.NewDir(folder); err != nil {
		return invalid("blob-dir", folder, "is not an absolute path")
	}
	return nil
}

// checkBlobDir tries whether the folder of blobs can be used.
func checkBlobDir(ctx context.Context, folder string) error {
	h := &house{}
	if err := h.useBlobs(folder); err != nil || h.blobs == nil {
		return err
	}
	if err := h.blobs.Check(ctx); err != nil {
		return invalid("blob-dir", "", "%v", err)
	}
	return nil
}

// buildGates wires what a term must pass before it reads anything.
func (a *Agent) buildGates(h *house) error {
	formats, err := format.New(format.Config{Driver: h.backend.Store(), Release: a.cfg.Version.Version, Node: h.id})
	if err != nil {
		return err
	}
	h.blobGate, err = blob.NewGate(blob.GateConfig{Driver: h.backend.Store(), Dir: h.blobs, Node: h.id})
	if err != nil {
		return err
	}
	h.gates = []coordinator.Gate{formats, h.blobGate}
	return nil
}

// peeker is a backend that can be read outside of terms: one of several processes.
type peeker interface {
	Peek(ctx context.Context, path string) ([]byte, error)
}

var _ peeker = (*zk.Services)(nil)

// checkBlobs compares this node's folder of blobs with the cluster's before the node
// contends: one that could not lead must not start. It waits for the backend. Where
// the backend cannot be read outside of terms, the first term finds out.
func (h *house) checkBlobs(ctx context.Context) error {
	backend, ok := h.backend.(peeker)
	if !ok {
		return nil
	}
	return h.blobGate.Check(ctx, backend.Peek)
}

// contend takes part in the election, if this node could lead.
func (h *house) contend(ctx context.Context) error {
	if err := h.checkBlobs(ctx); err != nil {
		return err
	}
	return h.elector.Run(ctx, h.contender)
}

// jobOptions says how the store of graphs is made.
func (h *house) jobOptions() []jobstore.Option {
	if h.blobs == nil {
		return nil
	}
	return []jobstore.Option{jobstore.WithBlobs(h.blobs)}
}

// leftoverBlobs returns where the dispatcher looks for leftovers, nil without blobs.
func (h *house) leftoverBlobs() coordinator.Blobs {
	if h.blobs == nil {
		return nil
	}
	return h.blobs
}
