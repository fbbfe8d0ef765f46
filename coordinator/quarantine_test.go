package coordinator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// records returns the quarantine records in the store, as epoch g sees them.
func (w *world) records(g leader.Guard) []jobstore.Quarantine {
	w.t.Helper()
	entries, err := w.jobs.Quarantined(w.t.Context(), g)
	if err != nil {
		w.t.Fatal(err)
	}
	all := make([]jobstore.Quarantine, 0, len(entries))
	for _, e := range entries {
		if e.Err != nil {
			w.t.Fatal(e.Err)
		}
		all = append(all, e.Record)
	}
	return all
}

// report returns what the leader tells operators.
func (w *world) report() gateway.RecoveryReport {
	w.t.Helper()
	r, err := w.dispatcherNow().Recovery(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// inQuarantine checks which jobs the leader lists, and that each has a record.
func (w *world) inQuarantine(l *led, want ...job.ID) []gateway.QuarantinedJob {
	w.t.Helper()
	listed := w.report().Quarantine
	var ids []job.ID
	for _, q := range listed {
		ids = append(ids, q.ID)
	}
	if !slices.Equal(ids, want) {
		w.t.Fatalf("in quarantine %v, want %v", ids, want)
	}
	records := w.records(l.term.Guard())
	if len(records) != len(want) {
		w.t.Errorf("quarantine records %+v, want one for each of %v", records, want)
	}
	for _, r := range records {
		i := slices.IndexFunc(listed, func(q gateway.QuarantinedJob) bool { return q.ID == r.ID })
		if i < 0 || listed[i].Reason != r.Reason || !listed[i].Since.Equal(r.Since) || listed[i].SinceEpoch != r.SinceEpoch {
			w.t.Errorf("record %+v is not what is listed: %+v", r, listed)
		}
	}
	return listed
}

// spoil makes the job's graph unreadable and returns how to repair it.
func (w *world) spoil(id job.ID) (repair func()) {
	w.t.Helper()
	path := w.backend.has("jobgraphs/", "/"+string(id))
	if len(path) != 1 {
		w.t.Fatalf("graphs of %s: %v, want one", id, path)
	}
	w.backend.mu.Lock()
	whole := w.backend.data[path[0]]
	w.backend.mu.Unlock()
	w.backend.replace(w.t, []byte("garbage"), path[0])
	return func() { w.backend.replace(w.t, whole, path[0]) }
}

func TestQuarantineRecordStaysOverLeadersUntilTheGraphCanBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"bad", "good"}, nil, nil)
		repair := w.spoil("bad")
		garbage := w.backend.has("jobgraphs/", "/bad")
		l := w.lead(&fakeTerm{epoch: 2})
		first := w.inQuarantine(l, "bad")[0]
		if first.SinceEpoch != 2 || !first.Since.Equal(time.Now()) || !strings.Contains(first.Reason, "damaged") {
			t.Errorf("listed %+v, want damage found in epoch 2, now", first)
		}
		if r := w.records(l.term.Guard())[0]; r.Writer != "node" {
			t.Errorf("record %+v, want it to name its writer", r)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		<-time.After(time.Hour)

		l = w.lead(&fakeTerm{epoch: 3})
		if again := w.inQuarantine(l, "bad")[0]; again != first {
			t.Errorf("the next leader lists %+v, want %+v: the first find counts", again, first)
		}
		w.wantStatus("good", job.StatusRunning)
		if got := w.backend.has("jobgraphs/", "/bad"); !slices.Equal(got, garbage) {
			t.Errorf("graphs %v, want %v untouched", got, garbage)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}

		repair()
		l = w.lead(&fakeTerm{epoch: 4})
		w.inQuarantine(l)
		w.wantStatus("bad", job.StatusRunning)
		w.runners.of("bad")[0].end(job.StatusFinished)
		synctest.Wait()
		if left := w.backend.has("/bad"); len(left) != 1 || !strings.Contains(left[0], "clean") {
			t.Errorf("left of the job: %v, want its clean result alone", left)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestQuarantineRecordThatCannotBeWrittenHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"bad", "good"}, nil, nil)
		w.spoil("bad")
		var failures atomic.Int64
		w.hooks.OnCleanupFailed = func(what string) {
			if what == recordCleaner {
				failures.Add(1)
			}
		}
		w.backend.set(anyCommitBelow("quarantine", func(context.Context) error { return errInjected }))
		l := w.lead(&fakeTerm{epoch: 2})
		if p := l.term.publications(); len(p) != 1 {
			t.Errorf("published %d times, want once though the record cannot be written", len(p))
		}
		w.wantStatus("good", job.StatusRunning)
		w.wantStatus("bad", job.StatusSuspended)
		if q := w.report().Quarantine; len(q) != 1 || !strings.Contains(q[0].Reason, errInjected.Error()) {
			t.Errorf("listed %+v, want the failure of the record to be seen", q)
		}
		<-time.After(time.Minute)
		if n := failures.Load(); n < 5 {
			t.Errorf("%d failures told in a minute, want each", n)
		}
		w.backend.set(nil)
		<-time.After(10 * time.Second)
		synctest.Wait()
		w.inQuarantine(l, "bad")
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestQuarantineEndsWithTheTermWhileARecordIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"bad"}, nil, nil)
		w.spoil("bad")
		w.backend.set(anyCommitBelow("quarantine", func(context.Context) error { return errInjected }))
		l := w.lead(&fakeTerm{epoch: 2})
		<-time.After(time.Minute)
		before := time.Now()
		if err := l.stop(); err != nil || time.Since(before) != 0 {
			t.Errorf("the term took %v to end, error %v; want no waiting for the back-off", time.Since(before), err)
		}
	})
}

func TestJobThatIsPutAsideAgainKeepsSinceWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"a"}, nil, nil)
		w.runners.fails["a"] = errInjected
		l := w.lead(&fakeTerm{epoch: 2})
		first := w.inQuarantine(l, "a")[0]
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		<-time.After(time.Hour)
		l = w.lead(&fakeTerm{epoch: 3})
		if again := w.inQuarantine(l, "a")[0]; again != first {
			t.Errorf("listed %+v, want %+v", again, first)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestQuarantineRecordThatCannotBeReadIsReplacedOrRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"bad", "good"}, nil, nil)
		w.spoil("bad")
		for _, id := range []job.ID{"bad", "good"} {
			if err := w.jobs.PutQuarantine(t.Context(), leader.NewGuard(1, "test"), jobstore.Quarantine{ID: id}); err != nil {
				t.Fatal(err)
			}
			w.backend.damage(t, "quarantine/", string(id))
		}
		l := w.lead(&fakeTerm{epoch: 2})
		w.inQuarantine(l, "bad")
		w.wantStatus("good", job.StatusRunning)
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestQuarantineRecordOfANewerReleaseEndsTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		newer, err := envelope.Encode([]byte(`{"v":99}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.jobs.PutQuarantine(t.Context(), leader.NewGuard(1, "test"), jobstore.Quarantine{ID: "a"}); err != nil {
			t.Fatal(err)
		}
		w.backend.replace(t, newer, "quarantine/", "/a")
		l := w.lead(&fakeTerm{epoch: 2})
		if err := <-l.done; !errors.Is(err, jobstore.ErrNewerFormat) {
			t.Errorf("Lead returned %v, want one that wraps ErrNewerFormat", err)
		}
	})
}
