package coordinator

import (
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// readingLog is how often a long recovery tells the log how far it is.
const readingLog = 2 * time.Second

// reading tells how far recovery is with the graphs. Many goroutines use it.
type reading struct {
	of    int
	hooks Hooks
	log   hclog.Logger
	began time.Time

	done   atomic.Int64
	logged atomic.Int64 // nanoseconds after began
}

func newReading(of int, hooks Hooks, log hclog.Logger) *reading {
	hooks.recovering(0, of)
	return &reading{of: of, hooks: hooks, log: log, began: time.Now()}
}

// one counts a graph that was read.
func (r *reading) one() {
	done := int(r.done.Add(1))
	r.hooks.recovering(done, r.of)
	last, now := r.logged.Load(), int64(time.Since(r.began))
	if now-last >= int64(readingLog) && r.logged.CompareAndSwap(last, now) {
		r.log.Info("recovering", "read", done, "of", r.of)
	}
}

// end is called when all have been read: of calls that overlapped, an earlier
// count may have been the last one told.
func (r *reading) end() { r.hooks.recovering(r.of, r.of) }
