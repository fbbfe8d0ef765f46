package coordinator

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/job"
)

func TestRecoveryTellsHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var ids []job.ID
		for i := range defaultReads + 8 {
			ids = append(ids, job.ID(fmt.Sprintf("job-%d", i)))
		}
		w.has(ids, nil, nil)
		var mu sync.Mutex
		var done, of, calls int
		w.hooks.OnRecovering = func(d, n int) {
			mu.Lock()
			defer mu.Unlock()
			done, of = max(done, d), n
			calls++
		}
		w.backend.set(func(_ context.Context, op, path string) error {
			if op == "get" && strings.HasPrefix(path, "jobgraphs/") {
				<-time.After(time.Second)
			}
			return nil
		})
		l := w.lead(&fakeTerm{epoch: 2})
		<-time.After(1500 * time.Millisecond)
		synctest.Wait()
		mu.Lock()
		if done != defaultReads || of != len(ids) {
			t.Errorf("told %d of %d half-way, want %d of %d", done, of, defaultReads, len(ids))
		}
		mu.Unlock()
		<-time.After(time.Minute)
		synctest.Wait()
		mu.Lock()
		if done != len(ids) || of != len(ids) || calls != len(ids)+2 {
			t.Errorf("told %d of %d at the end in %d calls, want all", done, of, calls)
		}
		mu.Unlock()
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}
