package layout

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// The folders, relative to the cluster's root.
const (
	// Graphs holds the accepted job graphs.
	Graphs = "jobgraphs"
	// Progress holds what of a job has finished.
	Progress = "progress"
	// Outputs holds a folder for each job, with small outputs of its tasks.
	Outputs = "outputs"
	// Quarantine holds records of graphs that could not be read.
	Quarantine = "quarantine"
	// Workers holds the workers that are registered, without buckets: there are a few
	// thousand at the most, and a new leader waits for them.
	Workers = "workers"
	// Dirty holds results of jobs whose externals are still to be removed.
	Dirty = "jobresults/dirty"
	// Clean holds results of jobs of which nothing else is left.
	Clean = "jobresults/clean"
)

// The single values, relative to the cluster's root.
const (
	// Format says which format the cluster is in.
	Format = "format"
	// Blobs says which store of blobs is the cluster's.
	Blobs = "blobs"
)

// Concurrency is how many reads a store has under way at once when it reads
// many values: enough to hide the round trip, few enough to leave the connection
// to the renewals of the lease.
const Concurrency = 32

// maxID is the longest id, in bytes.
const maxID = 128

// ErrInvalidID reports an id that cannot stand in a path.
var ErrInvalidID = errors.New("invalid job ID")

// Bucket returns the two hex digits under which the id stands.
func Bucket(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	s := h.Sum32()
	return hex.EncodeToString([]byte{byte(s ^ s>>8 ^ s>>16 ^ s>>24)}) //nolint:gosec // the lowest byte is what is wanted
}

// Path returns where folder keeps the value of id. Its only error wraps
// ErrInvalidID.
func Path(folder, id string) (string, error) {
	if !Valid(id) {
		return "", fmt.Errorf("%w %q: use 1 to %d letters, digits, '.', '_' and '-', a letter or digit first", ErrInvalidID, id, maxID)
	}
	return folder + "/" + Bucket(id) + "/" + id, nil
}

// Worker returns where the record of a worker is kept. It reports false for an id that
// cannot stand in a path.
func Worker(id string) (path string, ok bool) {
	if !Valid(id) {
		return "", false
	}
	return Workers + "/" + id, true
}

// Valid reports whether id can stand in a path: job.ID's rules, checked once
// more where a mistake would leave the store's own folders.
func Valid(id string) bool {
	if id == "" || len(id) > maxID || !alphanumeric(id[0]) {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// IDs returns the ids of all values in folder, in no particular order, asking
// list for the names under a path. It has at most Concurrency calls of list under
// way, and returns list's first error after all of them have ended. What stands
// in a bucket that is not its own, or is no id, is passed over: coordd did not put
// it there.
func IDs(ctx context.Context, folder string, list func(ctx context.Context, path string) ([]string, error)) ([]string, error) {
	buckets, err := list(ctx, folder)
	if err != nil {
		return nil, err
	}
	var (
		mu  sync.Mutex
		ids []string
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(Concurrency)
	for _, bucket := range buckets {
		group.Go(func() error {
			names, err := list(ctx, folder+"/"+bucket)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, name := range names {
				if Valid(name) && Bucket(name) == bucket {
					ids = append(ids, name)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return ids, nil
}
