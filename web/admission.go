package web

import (
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/sync/semaphore"
)

// admission bounds how many submissions are read, parsed and stored at once, and the
// bytes of their bodies: each holds its body and its graph in memory.
type admission struct {
	count, bytes       *semaphore.Weighted
	maxCount, maxBytes int64
	maxBody            int64
}

func newAdmission(count int, bytes, maxBody int64) admission {
	return admission{
		count: semaphore.NewWeighted(int64(count)), bytes: semaphore.NewWeighted(bytes),
		maxCount: int64(count), maxBytes: bytes, maxBody: maxBody,
	}
}

// middleware answers 429 before the body is read when there is no room for it. A body
// that does not say how long it is takes the room of the longest.
func (a admission) middleware(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	size := r.ContentLength
	if size < 0 {
		size = a.maxBody
	}
	size = min(size, a.maxBytes) // one that is larger has it to itself
	if !a.count.TryAcquire(1) {
		busy("%d submissions are under way on this node; send this one again later", a.maxCount).write(w)
		return
	}
	defer a.count.Release(1)
	if !a.bytes.TryAcquire(size) {
		busy("submissions of up to %d bytes in all are under way on this node; send this one again later", a.maxBytes).write(w)
		return
	}
	defer a.bytes.Release(size)
	next(ctx)
}

func busy(format string, limit int64) *ProblemError {
	return newProblem(http.StatusTooManyRequests, CodeBusy, fmt.Sprintf(format, limit))
}
