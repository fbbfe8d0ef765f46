package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	hazk "github.com/coordd/coordd/ha/zk"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

const (
	testCluster = "/coordd/test"
	testWithin  = time.Minute
)

// leadingDeletion returns a deletion that leads the cluster on a server of its own.
func leadingDeletion(t *testing.T) (*deletion, *zookeepertest.Server) {
	t.Helper()
	srv := zookeepertest.StartServer(t)
	services, err := hazk.New(hazk.Config{Servers: []string{srv.Addr()}, Root: testCluster})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- services.Run(running) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	ctx, cancel := context.WithTimeout(t.Context(), testWithin)
	t.Cleanup(cancel)
	tenure, err := services.Election().Campaign(ctx, election.Candidate{ID: deleterID, StopGrace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(running, testWithin)
		defer cancel()
		_ = tenure.Release(ctx) // its node may be gone
	})
	guard, ok := leader.Token[zookeeper.Guard](tenure.Guard())
	if !ok {
		t.Fatal("the guard is not one of ZooKeeper")
	}
	return &deletion{clusterTree: clusterTree{session: guard.Session(), root: testCluster}, guard: guard}, srv
}

// other is a contender that waits behind the deletion.
func other(t *testing.T, srv *zookeepertest.Server, id string) {
	t.Helper()
	s, err := zookeeper.Open(t.Context(), zookeeper.Config{Servers: []string{srv.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, _, err := s.CreateProtected(t.Context(), hazk.LatchPath(testCluster), "-latch-", []byte(id)); err != nil {
		t.Fatal(err)
	}
}

func (d *deletion) plant(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := d.session.EnsurePath(t.Context(), testCluster+"/"+path, zookeeper.Persistent); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *deletion) left(t *testing.T) []string {
	t.Helper()
	names, _, err := d.session.Children(t.Context(), testCluster)
	if err != nil && !errors.Is(err, zookeeper.ErrNoNode) {
		t.Fatal(err)
	}
	return names
}

func TestDeletionStopsShortOfAContenderThatCameMeanwhile(t *testing.T) {
	d, srv := leadingDeletion(t)
	d.plant(t, "jobgraphs/00/a", "jobresults/clean/00/b", "format")
	other(t, srv, "node-1")
	err := d.run(t.Context())
	inUse, ok := errors.AsType[*inUseError](err)
	if !ok || !slices.Equal(inUse.contenders, []string{"node-1"}) {
		t.Fatalf("the deletion ended with %v, want that node-1 contends", err)
	}
	if left := d.left(t); !slices.Equal(left, []string{"latch"}) {
		t.Errorf("%v are left, want the latch, at which node-1 contends", left)
	}
	if names, _, err := d.session.Children(t.Context(), hazk.LatchPath(testCluster)); err != nil || len(names) != 2 {
		t.Errorf("at the latch are %v, %v; want the deletion's node and that of node-1", names, err)
	}
}

func TestDeletionLeavesNothingWhateverIsThere(t *testing.T) {
	d, _ := leadingDeletion(t)
	d.plant(t, "jobgraphs/00/a", "outputs/00/a/x/y/z", "jobresults/dirty/00/a", "jobresults/foreign", "foreign/1/2/3", "latch-transfer")
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, exists, err := d.session.Exists(t.Context(), testCluster); err != nil || exists {
		t.Errorf("the cluster's node is there: %v, %v", exists, err)
	}
	if d.nodes != 20 {
		t.Errorf("%d nodes were deleted, want 20", d.nodes)
	}
}

func TestDeposedDeletionDeletesNothing(t *testing.T) {
	d, srv := leadingDeletion(t)
	d.plant(t, "jobgraphs/00/a")
	s, err := zookeeper.Open(t.Context(), zookeeper.Config{Servers: []string{srv.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Delete(t.Context(), d.guard.Path(), -1); err != nil {
		t.Fatal(err)
	}
	if err := d.run(t.Context()); !errors.Is(err, leader.ErrFenced) && !errors.Is(err, zookeeper.ErrClosed) {
		t.Errorf("the deposed deletion ended with %v, want that it is fenced", err)
	}
	if _, exists, err := s.Exists(t.Context(), testCluster+"/jobgraphs/00/a"); err != nil || !exists {
		t.Errorf("the graph is there: %v, %v; want true", exists, err)
	}
}
