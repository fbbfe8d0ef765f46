package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

const (
	// floorReads is how many reads the floor has under way.
	floorReads = 64
	// fillOps is how many nodes a multi of fill creates.
	fillOps = 100
)

// recorded is a store that keeps the operations which it is given.
type recorded struct{ ops []txn.Op }

var _ jobstore.Driver = (*recorded)(nil)

// Get is of no use here.
func (*recorded) Get(context.Context, leader.Guard, string) ([]byte, error) {
	return nil, txn.ErrNotFound
}

// List is of no use here.
func (*recorded) List(context.Context, leader.Guard, string) ([]string, error) { return nil, nil }

// Commit keeps the operations.
func (r *recorded) Commit(_ context.Context, _ leader.Guard, ops ...txn.Op) error {
	r.ops = append(r.ops, ops...)
	return nil
}

// graph is that of each job: three tasks of two subtasks, about 1 KiB as JSON.
func graph(i int) job.Graph {
	task := func(id string, needs ...string) job.Task {
		return job.Task{
			ID: id, Needs: needs, Parallelism: 2,
			Command: []string{"sh", "-c", fmt.Sprintf("exec /opt/pipeline/bin/%s --input s3://bucket-%d/part-$COORDD_SUBTASK", id, i)},
			Env:     map[string]string{"REGION": "eu-central-1", "TABLE": fmt.Sprintf("warehouse.events_%d", i)},
		}
	}
	return job.Graph{Name: fmt.Sprintf("nightly-%d", i), Tasks: []job.Task{
		task("extract"), task("transform", "extract"), task("load", "transform"),
	}}
}

// fill stores n accepted jobs below root, as a leader would, but many at once.
func fill(ctx context.Context, b *rig.Bare, root string, n int) error {
	var r recorded
	store := jobstore.New(&r)
	for i := range n {
		j := jobstore.Job{ID: job.ID(fmt.Sprintf("job-%d", i)), Graph: graph(i), SubmittedAt: time.Now()}
		if err := store.Put(ctx, leader.Guard{}, j); err != nil {
			return err
		}
	}
	made := map[string]bool{}
	for _, op := range r.ops {
		for dir, depth := path.Dir(root+"/"+op.Path), strings.Count(root, "/"); strings.Count(dir, "/") >= depth && !made[dir]; dir = path.Dir(dir) {
			made[dir] = true
		}
	}
	// The upper ones first.
	for depth := 1; len(made) > 0; depth++ {
		for dir := range made {
			if strings.Count(dir, "/") != depth {
				continue
			}
			delete(made, dir)
			if err := b.Ensure(dir); err != nil {
				return err
			}
		}
	}
	var group errgroup.Group
	group.SetLimit(4)
	for begin := 0; begin < len(r.ops); begin += fillOps {
		group.Go(func() error {
			var creates []any
			for _, op := range r.ops[begin:min(begin+fillOps, len(r.ops))] {
				creates = append(creates, &zk.CreateRequest{Path: root + "/" + op.Path, Data: op.Data, Acl: zk.WorldACL(zk.PermAll)})
			}
			_, err := b.Conn.Multi(creates...)
			return err
		})
	}
	return group.Wait()
}

// readAll lists and reads all graphs with bare go-zookeeper, so many at once, and
// returns how long that took.
func readAll(b *rig.Bare, root string, jobs, atOnce int) (time.Duration, error) {
	began := time.Now()
	folder := root + "/" + layout.Graphs
	buckets, _, err := b.Conn.Children(folder)
	if err != nil {
		return 0, fmt.Errorf("list %s: %w", folder, err)
	}
	var (
		mu    sync.Mutex
		paths []string
	)
	err = share(len(buckets), atOnce, func(i int) error {
		names, _, err := b.Conn.Children(folder + "/" + buckets[i])
		mu.Lock()
		defer mu.Unlock()
		for _, name := range names {
			paths = append(paths, folder+"/"+buckets[i]+"/"+name)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if len(paths) != jobs {
		return 0, fmt.Errorf("%s holds %d graphs, want %d", folder, len(paths), jobs)
	}
	err = share(len(paths), atOnce, func(i int) error {
		_, _, err := b.Conn.Get(paths[i])
		return err
	})
	return time.Since(began), err
}

// share calls f for all numbers below n, in so many goroutines.
func share(n, goroutines int, f func(i int) error) error {
	var group errgroup.Group
	for g := range goroutines {
		group.Go(func() error {
			for i := g; i < n; i += goroutines {
				if err := f(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
