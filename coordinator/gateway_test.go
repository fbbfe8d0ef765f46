package coordinator

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		if _, err := w.gateway().Cancel(t.Context(), "nobody"); !errors.Is(err, gateway.ErrNoJob) {
			t.Errorf("cancel of an unknown job: %v, want ErrNoJob", err)
		}
		w.submit("a")
		if _, err := w.gateway().Cancel(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		w.wantStatus("a", job.StatusCanceled)
		before := w.backend.log()
		if s, err := w.gateway().Cancel(t.Context(), "a"); err != nil || s.Status != job.StatusCanceled {
			t.Errorf("cancel of a job that has ended: %s, %v; want CANCELED and no error", s.Status, err)
		}
		synctest.Wait()
		if log := w.backend.log(); !slices.Equal(log, before) {
			t.Errorf("cancelling a job that has ended wrote %v", log[len(before):])
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestCancelBeforeTheRunnerExistsReachesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		made := make(chan struct{})
		w.runners.before = func(Assignment) { <-made }
		l := w.lead(&fakeTerm{epoch: 1})
		w.submit("a")
		if s, err := w.gateway().Cancel(t.Context(), "a"); err != nil || s.Status != job.StatusInitializing {
			t.Errorf("cancel: %s, %v; want INITIALIZING", s.Status, err)
		}
		close(made)
		synctest.Wait()
		if n := w.runners.only(t, "a").canceled(); n != 1 {
			t.Errorf("runner was canceled %d times, want once", n)
		}
		w.wantStatus("a", job.StatusCanceled)
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestGatewayOfAnEndedTermIsNotLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		d := w.dispatcherNow()
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		for name, call := range map[string]func() error{
			"Submit":           func() error { _, _, err := d.Submit(t.Context(), submission("a", "true")); return err },
			"Jobs":             func() error { _, err := d.Jobs(t.Context()); return err },
			"Job":              func() error { _, err := d.Job(t.Context(), "a"); return err },
			"Cancel":           func() error { _, err := d.Cancel(t.Context(), "a"); return err },
			"Recovery":         func() error { _, err := d.Recovery(t.Context()); return err },
			"RetryQuarantined": func() error { return d.RetryQuarantined(t.Context(), "a") },
			"DropQuarantined":  func() error { return d.DropQuarantined(t.Context(), "a") },
		} {
			if err := call(); !errors.Is(err, gateway.ErrNotLeader) {
				t.Errorf("%s: %v, want ErrNotLeader", name, err)
			}
		}
		if err := d.Run(t.Context()); err == nil {
			t.Error("a dispatcher was run twice")
		}
	})
}

func TestJobsAreListedBySubmissionTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		want := []job.ID{"c", "a", "b"}
		for _, id := range want {
			w.submit(id)
			<-time.After(time.Second)
		}
		all, err := w.gateway().Jobs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []job.ID
		for _, s := range all {
			got = append(got, s.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("listed %v, want %v", got, want)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestNoCallIsServedOnceTheTermHasEnded(t *testing.T) {
	for range 50 { // the loop may meet the call or the end of the term first
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			l := w.lead(&fakeTerm{epoch: 1})
			d := w.dispatcherNow()
			busy, answered := make(chan struct{}), make(chan error, 1)
			go d.tell(func(*state) { <-busy })
			synctest.Wait()
			go func() {
				_, _, err := d.Submit(t.Context(), submission("a", "true"))
				answered <- err
			}()
			synctest.Wait()
			l.cancel(errInjected)
			close(busy)
			if err := <-answered; !errors.Is(err, gateway.ErrNotLeader) {
				t.Errorf("submit: %v, want ErrNotLeader", err)
			}
			if err := <-l.done; err != nil {
				t.Error(err)
			}
			if left := w.backend.has(""); len(left) != 0 {
				t.Errorf("written after the term: %v", left)
			}
		})
	}
}
