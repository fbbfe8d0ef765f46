package jobmaster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// heldStore keeps reads until they are let go, and counts them.
type heldStore struct {
	store
	mu      sync.Mutex
	reading int
	release chan struct{}
}

func (s *heldStore) Progress(ctx context.Context, g leader.Guard, id job.ID, graph job.Graph) (jobstore.Progress, error) {
	s.mu.Lock()
	s.reading++
	s.mu.Unlock()
	<-s.release
	return s.store.Progress(ctx, g, id, graph)
}

func TestOnlySomeMastersReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &heldStore{release: make(chan struct{})}
		b := NewBounded(s)
		var all sync.WaitGroup
		for range 10 * readsAtOnce {
			all.Go(func() {
				if _, err := b.Progress(t.Context(), leader.Guard{}, "j", job.Graph{}); err != nil {
					t.Errorf("a read failed: %v", err)
				}
			})
		}
		synctest.Wait()
		if s.reading != readsAtOnce {
			t.Errorf("%d reads are under way, want %d", s.reading, readsAtOnce)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Progress(ended, leader.Guard{}, "j", job.Graph{}); !errors.Is(err, context.Canceled) {
			t.Errorf("a read that waits ends with %v, want its context's error", err)
		}
		if _, err := b.Outputs(ended, leader.Guard{}, "j", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("a read of outputs that waits ends with %v, want its context's error", err)
		}
		if err := b.PutProgress(t.Context(), leader.Guard{}, "j", jobstore.Progress{}); err != nil {
			t.Errorf("a write failed beside the reads: %v", err)
		}
		close(s.release)
		all.Wait()
		if s.reading != 10*readsAtOnce {
			t.Errorf("%d reads were made, want %d", s.reading, 10*readsAtOnce)
		}
	})
}
