package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/coordd/coordd/election/zk"
	hazk "github.com/coordd/coordd/ha/zk"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
)

// clusterTree is a cluster's part of ZooKeeper.
type clusterTree struct {
	session *zookeeper.Session
	root    string
}

// inventory is what stands below a cluster's node. Its JSON is what coordd cluster
// delete -o json prints.
type inventory struct {
	Path string `json:"path"`
	// Folders holds the number of jobs in each folder of the stores.
	Folders []folderCount `json:"folders"`
	// Other are the names of everything else.
	Other []string `json:"other"`
	// Unfinished counts the jobs that have no result.
	Unfinished int `json:"unfinished_jobs"`
	// Deleted is how many nodes were deleted.
	Deleted int `json:"deleted_nodes"`
}

type folderCount struct {
	Name string `json:"name"`
	Jobs int    `json:"jobs"`
}

// storeFolders are the folders of the stores in the order in which they are deleted.
// Results go last: a job whose graph is there and whose result is not would run
// again, should somebody lead what a cut deletion has left.
func storeFolders() []string {
	return []string{layout.Graphs, layout.Progress, layout.Outputs, layout.Quarantine, layout.Dirty, layout.Clean}
}

// list returns the names below a path that is relative to the cluster's node.
func (c clusterTree) list(ctx context.Context, path string) ([]string, error) {
	names, _, err := c.session.Children(ctx, c.root+"/"+path)
	if errors.Is(err, zookeeper.ErrNoNode) {
		return nil, nil
	}
	return names, err
}

// inventory counts what is there, and reports whether the cluster's node is.
func (c clusterTree) inventory(ctx context.Context) (inventory, bool, error) {
	all := inventory{Path: c.root, Other: []string{}}
	names, _, err := c.session.Children(ctx, c.root)
	if errors.Is(err, zookeeper.ErrNoNode) {
		return all, false, nil
	}
	if err != nil {
		return all, false, err
	}
	unfinished := make(map[string]bool)
	for _, folder := range storeFolders() {
		ids, err := layout.IDs(ctx, folder, c.list)
		if err != nil {
			return all, false, err
		}
		all.Folders = append(all.Folders, folderCount{folder, len(ids)})
		for _, id := range ids {
			switch folder {
			case layout.Graphs:
				unfinished[id] = true
			case layout.Dirty, layout.Clean:
				delete(unfinished, id)
			}
		}
	}
	all.Unfinished = len(unfinished)
	known := []string{layout.Graphs, layout.Progress, layout.Outputs, layout.Quarantine, resultsFolder}
	for _, name := range names {
		if !slices.Contains(known, name) {
			all.Other = append(all.Other, name)
		}
	}
	slices.Sort(all.Other)
	return all, true, nil
}

// resultsFolder is the parent of the folders of results.
const resultsFolder = "jobresults"

// contending is what keeps a cluster from being deleted.
func (c clusterTree) contending(ctx context.Context, own string) error {
	all, err := zk.Contenders(ctx, c.session, hazk.LatchPath(c.root))
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(other zk.Contender) bool { return other.Node == own })
	if len(all) == 0 {
		return nil
	}
	names := make([]string, len(all))
	for i, other := range all {
		names[i] = name(other.Participant)
	}
	return &inUseError{root: c.root, contenders: names}
}

// deletion deletes a cluster's tree in the term of the guard.
type deletion struct {
	clusterTree
	guard zookeeper.Guard
	// nodes counts what was deleted.
	nodes int
}

const (
	// deleteBatch is how many nodes one transaction deletes.
	deleteBatch = 100
	// lastTries is how often the end is tried when something new turns up.
	lastTries = 5
)

// run deletes everything. Whoever comes to contend meanwhile makes it fail: what
// that one would lead is not to be deleted under it.
func (d *deletion) run(ctx context.Context) error {
	// How many levels below a folder are known to have children.
	levels := map[string]int{layout.Graphs: 1, layout.Progress: 1, layout.Outputs: 2, layout.Quarantine: 1, resultsFolder: 2}
	for _, folder := range [...]string{layout.Graphs, layout.Progress, layout.Outputs, layout.Quarantine, resultsFolder} {
		if err := d.below(ctx, d.root+"/"+folder, levels[folder]); err != nil {
			return err
		}
	}
	for range lastTries {
		if err := d.others(ctx); err != nil {
			return err
		}
		err := d.last(ctx)
		if err == nil || !errors.Is(err, zookeeper.ErrNotEmpty) {
			return err
		}
		if err := d.contending(ctx, d.guard.Path()); err != nil {
			return err
		}
	}
	return fmt.Errorf("somebody goes on writing below %s; stop them and repeat the command", d.root)
}

// others deletes all below the cluster's node but the latch.
func (d *deletion) others(ctx context.Context) error {
	names, _, err := d.session.Children(ctx, d.root)
	if err != nil {
		return err
	}
	latch := hazk.LatchPath(d.root)
	return d.batches(ctx, d.root, slices.DeleteFunc(names, func(name string) bool { return d.root+"/"+name == latch }))
}

// last deletes the node that proves the leadership of this deletion, the latch and
// the cluster's node in one transaction: nobody can come between.
func (d *deletion) last(ctx context.Context) error {
	err := d.guard.Commit(ctx,
		zookeeper.DeleteOp(d.guard.Path(), -1), zookeeper.DeleteOp(hazk.LatchPath(d.root), -1), zookeeper.DeleteOp(d.root, -1))
	if errors.Is(err, leader.ErrFenced) || errors.Is(err, zookeeper.ErrNoNode) {
		// The answer of a first try may have been lost.
		if _, exists, existsErr := d.session.Exists(ctx, d.root); existsErr == nil && !exists {
			err = nil
		}
	}
	if err == nil {
		d.nodes++ // of the cluster; the latch comes and goes with contenders
	}
	return err
}

// below deletes all below a path, of which so many levels are known to have
// children themselves.
func (d *deletion) below(ctx context.Context, path string, levels int) error {
	names, _, err := d.session.Children(ctx, path)
	if errors.Is(err, zookeeper.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	if levels > 0 {
		for _, name := range names {
			if err := d.below(ctx, path+"/"+name, levels-1); err != nil {
				return err
			}
		}
	}
	return d.batches(ctx, path, names)
}

// batches deletes children of a path, with what is below them.
func (d *deletion) batches(ctx context.Context, path string, names []string) error {
	for batch := range slices.Chunk(names, deleteBatch) {
		if err := d.batch(ctx, path, slices.Clone(batch)); err != nil {
			return err
		}
	}
	return nil
}

func (d *deletion) batch(ctx context.Context, path string, names []string) error {
	for len(names) > 0 {
		ops := make([]zookeeper.Op, len(names))
		for i, name := range names {
			ops[i] = zookeeper.DeleteOp(path+"/"+name, -1)
		}
		err := d.guard.Commit(ctx, ops...)
		var failed *zookeeper.MultiError
		switch {
		case err == nil:
			d.nodes += len(names)
			return nil
		case !errors.As(err, &failed) || failed.Index >= len(names):
			return err
		case errors.Is(err, zookeeper.ErrNoNode): // an ephemeral node that went by itself
			names = slices.Delete(names, failed.Index, failed.Index+1)
		case errors.Is(err, zookeeper.ErrNotEmpty):
			if err := d.below(ctx, path+"/"+names[failed.Index], 0); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}
