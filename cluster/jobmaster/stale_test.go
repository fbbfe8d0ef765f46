package jobmaster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// stale makes a report of the worker arrive that was made before anything was deployed
// there: that of a registration which took long, and was made twice.
func (r *rig) stale() {
	r.t.Helper()
	synctest.Wait()
	r.cluster.mu.Lock()
	report := r.worker.report()
	r.cluster.mu.Unlock()
	report.Running = nil
	if _, err := r.master.RegisterWorker(r.t.Context(), r.worker.who, report); err != nil {
		r.t.Errorf("the worker could not register again: %v", err)
	}
	synctest.Wait()
}

func TestReportOlderThanADeploymentStartsNothingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)), slots(2))
		r.expect("at first", "a/0#1", "a/1#1")
		r.stale()
		r.expect("after the report")
		if got := r.subtask(0, 0).Status; got != job.SubtaskRunning {
			t.Errorf("the subtask is %s, want RUNNING", got)
		}
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		r.ends(job.StatusFinished)
	})
}

// The worker has registered again in the meantime, with all that it has.
func TestRegistrationThatItsWorkerHasGivenUpCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), slots(1))
		r.expect("at first", "a/0#1")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.master.RegisterWorker(ctx, r.worker.who, gateway.JobReport{}); !errors.Is(err, context.Canceled) {
			t.Errorf("a registration that was given up got %v, want the context's error", err)
		}
		pass(time.Second)
		if got := r.subtask(0, 0).Status; got != job.SubtaskRunning {
			t.Errorf("the subtask is %s, want RUNNING", got)
		}
		r.finish("a", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestAttemptThatItsWorkerHasGivenUpRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), slots(1))
		r.expect("at first", "a/0#1")
		r.cluster.mu.Lock()
		clear(r.worker.running)
		r.worker.refuse = func(d gateway.Deployment) error {
			if d.Attempt.N == 1 {
				return errors.New("it has run here")
			}
			return nil
		}
		r.cluster.mu.Unlock()
		r.rejoin(r.worker)
		pass(time.Second)
		r.expect("after the report", "a/0#2")
		r.finish("a", 0, 2)
		r.ends(job.StatusFinished)
	})
}

// ends waits for the job's end; what is left on workers then is another matter.
func (r *rig) ends(want job.Status) {
	r.t.Helper()
	if snap, err := r.result(); err != nil || snap.Status != want {
		r.t.Errorf("Run returned %s (%s) and error %v, want %s", snap.Status, snap.Error, err, want)
	}
}

func TestRegistrationThatWasGivenUpIsNotTakenIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)), slots(2))
		r.expect("at first", "a/0#1", "a/1#1")
		ctx, giveUp := context.WithCancel(t.Context())
		giveUp() // as the master connects back, which takes time
		if _, err := r.master.RegisterWorker(ctx, r.worker.who, gateway.JobReport{}); !errors.Is(err, context.Canceled) {
			t.Errorf("the registration ended with %v, want that it was given up", err)
		}
		pass(time.Second)
		r.expect("after a report of nothing")
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		r.ends(job.StatusFinished)
	})
}

func TestAttemptOfAWorkerThatIsLostWithTheAnswerIsNotShownAsRunning(t *testing.T) {
	spec := graph(retry(node("a", 1), 2, time.Hour))
	cfg := Config{
		Term: term(7), Job: jobstore.Job{ID: "j", Graph: spec},
		HeartbeatTimeout: DefaultHeartbeatTimeout, Failures: DefaultFailures,
	}
	c, err := newCore(cfg, newView(cfg.Job, 7), &stats{}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	// exchange passes time, in which the worker answers heartbeats, and returns what it is
	// to be told then.
	exchange := func(d time.Duration) exchange {
		now = now.Add(d)
		c.step(beaten{serial: 1, sent: now}, now)
		told := c.plan(now).exchanges
		if len(told) != 1 {
			t.Fatalf("the worker is told %d things, want one exchange", len(told))
		}
		return told[0]
	}
	c.step(begun{}, now)
	c.step(workerRegistered{
		who: gateway.Worker{ID: "w1", Instance: "w1-1"}, has: gateway.JobReport{Slots: []gateway.Slot{"s1", "s2"}},
		reply: make(chan answer[gateway.JobReply], 1),
	}, now)
	first := exchange(0)
	c.step(exchanged{of: first, sent: now}, now)
	surplus := exchange(idleGrace)
	c.step(exchanged{of: surplus, sent: now, freeErr: errors.New("slow")}, now)
	// The worker gives the attempt up by itself, so that the next one begins at once.
	c.step(attemptsEnded{
		who: gateway.Worker{ID: "w1", Instance: "w1-1"}, ends: []gateway.AttemptEnd{canceledEnd(attempt("a", 0, 1))},
		reply: make(chan answer[none], 1),
	}, now)
	second := exchange(DefaultHeartbeatTimeout)
	if len(second.deploy) != 1 || len(second.free) != 1 {
		t.Fatalf("the worker is told %+v, want an attempt and a slot to free", second)
	}
	c.step(exchanged{of: second, sent: now, freeErr: errors.New("slow")}, now)
	if len(c.pool.fleet) != 0 {
		t.Error("the worker is known although it could not be told anything for the time-out")
	}
	if got := c.view.snapshot().Tasks[0].Subtasks[0].Status; got != job.SubtaskScheduled {
		t.Errorf("the subtask, which waits for its next attempt, is shown as %s, want SCHEDULED", got)
	}
}

func TestNextAttemptWaitsForTheRecordOfTheLatestFailure(t *testing.T) {
	spec := graph(retry(node("a", 1), 5, 0))
	cfg := Config{
		Term: term(7), Job: jobstore.Job{ID: "j", Graph: spec}, Recovered: true,
		HeartbeatTimeout: DefaultHeartbeatTimeout, Failures: DefaultFailures,
	}
	c, err := newCore(cfg, newView(cfg.Job, 7), &stats{}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	register := func(id string, n int) {
		c.step(workerRegistered{
			who: gateway.Worker{ID: id}, reply: make(chan answer[gateway.JobReply], 1),
			has: gateway.JobReport{
				Slots: []gateway.Slot{gateway.Slot("slot of " + id)},
				Ended: []gateway.AttemptEnd{failed(attemptOf(6, "a", 0, n))},
			},
		}, now)
	}
	c.step(begun{}, now)
	c.step(recordRead{}, now)
	register("w1", 1) // it was lost, so that there is a second
	if c.plan(now).write == nil {
		t.Fatal("the first failure is not recorded")
	}
	register("w2", 2)
	c.step(managerConnected{}, now)
	c.step(holdersKnown{manager: c.manager.serial}, now)
	c.step(recordWritten{}, now)
	next := c.plan(now)
	if len(next.exchanges) != 0 || next.write == nil {
		t.Errorf("%d exchanges and write %v while the second failure is not recorded, want the write only", len(next.exchanges), next.write)
	}
	c.step(recordWritten{}, now)
	if next := c.plan(now); len(next.exchanges) != 1 || next.exchanges[0].deploy[0].Attempt != attempt("a", 0, 3) {
		t.Errorf("told %+v when both failures are recorded, want the third attempt", next.exchanges)
	}
}

func TestPauseOfTheMasterLosesNoWorkerThatAnswersAfterIt(t *testing.T) {
	const pause = 5 * DefaultHeartbeatTimeout
	for name, answers := range map[string]bool{"it answers": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{
				Term: term(7), Job: jobstore.Job{ID: "j", Graph: graph(node("a", 1))},
				HeartbeatTimeout: DefaultHeartbeatTimeout, Failures: DefaultFailures,
			}
			c, err := newCore(cfg, newView(cfg.Job, 7), &stats{}, hclog.NewNullLogger())
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			c.step(begun{}, now)
			c.step(workerRegistered{
				who: gateway.Worker{ID: "w1"}, has: gateway.JobReport{Slots: []gateway.Slot{"s1"}},
				reply: make(chan answer[gateway.JobReply], 1),
			}, now)
			c.step(exchanged{of: c.plan(now).exchanges[0], sent: now}, now)
			const interval = DefaultHeartbeatTimeout / beatsPerTimeout
			now = now.Add(interval)
			if len(c.plan(now).beats) != 1 {
				t.Fatal("no heartbeat is sent after an interval")
			}
			sent := now
			now = now.Add(pause)
			c.step(beaten{serial: 1, sent: sent}, now) // it had answered before
			beats := c.plan(now).beats
			if len(c.pool.fleet) != 1 || len(beats) != 1 {
				t.Fatalf("%d workers are known and %d heartbeats sent after the pause, want 1 and 1", len(c.pool.fleet), len(beats))
			}
			sent = now
			now = now.Add(interval)
			if answers {
				c.step(beaten{serial: 1, sent: sent}, now)
			}
			c.plan(now)
			if known := len(c.pool.fleet) == 1; known != answers {
				t.Errorf("an interval after the pause the worker is known: %v, want %v", known, answers)
			}
		})
	}
}
