package zk

import (
	"errors"
	"testing"

	"github.com/coordd/coordd/blob"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/format"
	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func TestGatesOfTheFirstTermAndOfANewerCluster(t *testing.T) {
	ctx := within(t)
	c := &clusters{server: zookeepertest.StartServer(t)}
	s := participant(t, Config{Servers: []string{c.server.Addr()}, Root: c.root(), SessionTimeout: sessionTimeout})
	tenure, err := s.Election().Campaign(ctx, election.Candidate{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	formats, err := format.New(format.Config{Driver: s.Store(), Release: "v0.4.0"})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := blob.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other, err := blob.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	gate := func(d *blob.Dir) *blob.Gate {
		g, err := blob.NewGate(blob.GateConfig{Driver: s.Store(), Dir: d})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if err := gate(other).Check(ctx, s.Peek); err != nil {
		t.Errorf("start in a cluster without a mark: %v", err)
	}
	for range 2 {
		if err := errors.Join(formats.Pass(ctx, tenure.Guard()), gate(dir).Pass(ctx, tenure.Guard())); err != nil {
			t.Fatalf("a term of a cluster of this release: %v", err)
		}
	}
	if err := gate(dir).Check(ctx, s.Peek); err != nil {
		t.Errorf("start with the cluster's folder: %v", err)
	}
	if err := gate(other).Check(ctx, s.Peek); !errors.Is(err, blob.ErrOtherStore) {
		t.Errorf("start with another folder: %v, want ErrOtherStore", err)
	}
	newer, err := envelope.Encode([]byte(`{"format":3,"release":"v9.0.0"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Store().Commit(ctx, tenure.Guard(), txn.Op{Kind: txn.Put, Path: layout.Format, Data: newer}); err != nil {
		t.Fatal(err)
	}
	if err := formats.Pass(ctx, tenure.Guard()); !errors.Is(err, format.ErrNewerFormat) {
		t.Errorf("a cluster of format 3: %v, want ErrNewerFormat", err)
	}
}
