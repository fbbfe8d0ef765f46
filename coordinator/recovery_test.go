package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

func TestTermLostDuringRecoveryCreatesNothing(t *testing.T) {
	for _, at := range []string{
		"list jobresults/dirty", "get jobresults/dirty", "list jobresults/clean",
		"get jobresults/clean", "list jobgraphs", "list quarantine", "get jobgraphs",
	} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s late=%v", at, late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { lostDuringRecovery(t, at, late) })
			})
		}
	}
}

// lostDuringRecovery ends the term while the store call at hangs. The call then
// fails or, when late, succeeds all the same.
func lostDuringRecovery(t *testing.T, at string, late bool) {
	t.Helper()
	w := newWorld(t)
	w.has([]job.ID{"a", "b"}, []job.ID{"dirty"}, []job.ID{"clean"})
	commits := w.backend.log()
	var reached atomic.Bool
	w.backend.set(func(ctx context.Context, op, path string) error {
		if !strings.HasPrefix(op+" "+path, at) {
			return nil
		}
		reached.Store(true)
		<-ctx.Done()
		if late {
			return nil
		}
		return ctx.Err()
	})
	term := &fakeTerm{epoch: 2}
	l := w.lead(term)
	if !reached.Load() {
		t.Fatalf("recovery never came to %q", at)
	}
	if err := l.stop(); err != nil {
		t.Errorf("Lead returned %v, want nil as the term was lost", err)
	}
	if n := w.dispatchers(); n != 0 {
		t.Errorf("%d dispatchers were created, want none", n)
	}
	if p := term.publications(); len(p) != 0 {
		t.Errorf("published %v, want nothing", p)
	}
	if got := w.backend.log(); !slices.Equal(got, commits) {
		t.Errorf("a recovery that was cut short wrote: %v", got[len(commits):])
	}
}

func TestOneUnreadableJobStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"good", "broken", "unread"}, []job.ID{"dirty", "bad-dirty"}, []job.ID{"clean", "bad-clean"})
		w.backend.damage(t, "jobgraphs", "broken")
		w.backend.damage(t, "dirty/", "bad-dirty")
		w.backend.damage(t, "clean/", "bad-clean")
		w.backend.set(func(_ context.Context, op, path string) error {
			if op == "get" && strings.Contains(path, "unread") {
				return errInjected
			}
			return nil
		})
		kept := w.backend.has("jobgraphs")
		l := w.lead(&fakeTerm{epoch: 2})
		w.wantStatus("good", job.StatusRunning)
		w.wantStatus("dirty", job.StatusFinished)
		w.wantStatus("clean", job.StatusFinished)
		d := w.dispatcherNow()
		for _, id := range []job.ID{"broken", "unread", "bad-dirty", "bad-clean"} {
			w.wantStatus(id, job.StatusSuspended)
			if n := len(w.runners.of(id)); n != 0 {
				t.Errorf("job %s in quarantine was run %d times", id, n)
			}
			if _, err := d.Cancel(t.Context(), id); err == nil {
				t.Errorf("cancelling %s in quarantine succeeded", id)
			}
			if _, _, err := d.Submit(t.Context(), submission(id, "true")); !errors.Is(err, gateway.ErrConflict) {
				t.Errorf("submitting %s in quarantine: %v, want ErrConflict", id, err)
			}
		}
		report, err := d.Recovery(t.Context())
		if err != nil || len(report.Quarantine) != 4 || len(report.Dirty) != 0 {
			t.Errorf("report %+v, error %v, want 4 in quarantine and nothing dirty", report, err)
		}
		kept = slices.DeleteFunc(kept, func(p string) bool { return strings.HasSuffix(p, "/dirty") })
		if got := w.backend.has("jobgraphs"); !slices.Equal(got, kept) {
			t.Errorf("graphs left: %v, want %v", got, kept)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestStoreThatCannotBeReadEndsTheTerm(t *testing.T) {
	for _, at := range []string{"list jobresults/dirty", "list jobresults/clean", "list jobgraphs", "list quarantine"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.backend.set(func(_ context.Context, op, path string) error {
					if strings.HasPrefix(op+" "+path, at) {
						return errInjected
					}
					return nil
				})
				l := w.lead(&fakeTerm{epoch: 1})
				if err := <-l.done; !errors.Is(err, errInjected) {
					t.Errorf("Lead returned %v, want the store's error", err)
				}
				if w.dispatchers() != 0 || len(l.term.publications()) != 0 {
					t.Error("a dispatcher was created or published over a store that cannot be read")
				}
			})
		})
	}
}

func TestFencedRecoveryEndsTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"a"}, nil, nil)
		w.backend.set(func(_ context.Context, op, path string) error {
			if op == "get" && strings.HasPrefix(path, "jobgraphs") {
				return leader.ErrFenced
			}
			return nil
		})
		l := w.lead(&fakeTerm{epoch: 1})
		if err := <-l.done; !errors.Is(err, leader.ErrFenced) {
			t.Errorf("Lead returned %v, want one that wraps ErrFenced", err)
		}
		if n := w.dispatchers(); n != 0 {
			t.Errorf("%d dispatchers were created by a deposed leader", n)
		}
	})
}

func TestNewerFormatEndsTheTermAndQuarantinesNothing(t *testing.T) {
	newer, err := envelope.Encode([]byte(`{"v":99}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"jobgraphs/", "jobresults/dirty/", "jobresults/clean/"} {
		t.Run(folder, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.has([]job.ID{"graph"}, []job.ID{"dirty"}, []job.ID{"clean"})
				id := map[string]string{"jobgraphs/": "/graph", "jobresults/dirty/": "/dirty", "jobresults/clean/": "/clean"}[folder]
				w.backend.replace(t, newer, folder, id)
				l := w.lead(&fakeTerm{epoch: 2})
				if n := w.dispatchers(); n != 0 {
					t.Errorf("%d dispatchers were created over a newer format", n)
				}
				if err := l.stop(); !errors.Is(err, jobstore.ErrNewerFormat) {
					t.Errorf("Lead returned %v, want one that wraps ErrNewerFormat", err)
				}
			})
		})
	}
}
