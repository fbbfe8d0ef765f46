package jobmaster

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

func TestTheNextLeaderAdoptsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 3), node("b", 1, "a")), slots(2), second(1))
		r.expect("first", "a/0#1", "a/1#1", "a/2#1")
		n := r.worker.deployed[0].Attempt.Subtask
		r.takeOver()
		if got := r.master.Snapshot().Status; got != job.StatusReconciling {
			t.Errorf("the job is %s before its workers have registered, want RECONCILING", got)
		}
		w2 := r.cluster.worker("w2")
		r.rejoin(r.worker)
		r.expect("while a holder is awaited")
		if got := r.master.Snapshot(); got.Status != job.StatusReconciling || got.Tasks[0].Subtasks[n].Status != job.SubtaskRunning || got.Tasks[0].Subtasks[n].Epoch != 7 {
			t.Errorf("the job is %s with %+v, want RECONCILING with an adopted attempt of epoch 7", got.Status, got.Tasks[0].Subtasks[n])
		}
		// An end that comes meanwhile is recorded.
		r.finish("a", n, 1)
		if rec := r.says(n); !rec.Finished || rec.Epoch != 7 {
			t.Errorf("the record says %+v of an attempt that ended during RECONCILING", rec)
		}
		r.rejoin(w2)
		if got := r.master.Snapshot().Status; got != job.StatusRunning {
			t.Errorf("the job is %s when all holders have registered, want RUNNING", got)
		}
		r.expect("nothing runs twice")
		r.finish("a", (n+1)%3, 1)
		r.finish("a", (n+2)%3, 1)
		r.expect("the next stage", "b/0#1")
		r.end(finished(attemptOf(8, "b", 0, 1)))
		r.finishes(job.StatusFinished)
		if n := r.master.stats.adopted.Load(); n != 3 {
			t.Errorf("%d attempts were adopted, want 3", n)
		}
	})
}

func TestAdoptedJobHasRunSinceItsFirstAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)), slots(1), second(1))
		r.expect("first", "a/0#1", "a/1#1")
		want := r.master.Snapshot().StartedAt
		pass(30 * time.Second) // nothing is recorded of what runs
		r.takeOver()
		pass(3 * time.Second)
		r.rejoin(r.worker)
		r.rejoin(r.cluster.worker("w2"))
		if got := r.master.Snapshot().StartedAt; !got.Equal(want) {
			t.Errorf("the next leader has the job start %v after it did", got.Sub(want))
		}
		r.cancel()
	})
}

func TestWhatNobodyReportsRunsAgainOnceHoldersAreKnown(t *testing.T) {
	for name, c := range map[string]struct {
		absent func(r *rig) // w2 does not come back
		wait   time.Duration
	}{
		"its loss is known": {absent: func(r *rig) {
			if err := r.master.DisconnectWorker(r.t.Context(), r.cluster.worker("w2").who, "killed"); err != nil {
				r.t.Error(err)
			}
		}},
		"it is silent": {absent: func(*rig) {}, wait: DefaultHeartbeatTimeout},
		"another process has its name": {absent: func(r *rig) {
			w := r.cluster.worker("w2")
			r.set(func() {
				w.who.Instance = "w2-2"
				clear(w.running)
				clear(w.slots)
			})
			r.rejoin(w)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, graph(node("a", 2)), slots(1), second(1))
				r.expect("first", "a/0#1", "a/1#1")
				lost := "a/1#1"
				r.set(func() {
					if r.cluster.worker("w2").deployed[0].Attempt.Subtask == 0 {
						lost = "a/0#1"
					}
				})
				r.set(func() { r.cluster.worker("w2").down = true })
				r.takeOver()
				r.set(func() { r.cluster.worker("w2").down = false })
				r.rejoin(r.worker)
				c.absent(r)
				if c.wait > 0 {
					pass(c.wait - time.Second)
					r.expect("while it may come")
					pass(time.Second)
				}
				r.set(func() { r.worker.capacity = 2; clear(r.cluster.worker("w2").slots) })
				r.cluster.share()
				synctest.Wait()
				pass(time.Second)
				// No number was recorded, so the next term may give it again.
				r.expect("once nothing of it can come", lost)
				r.cancel()
			})
		})
	}
}

func TestALateWorkerIsJudgedByItsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(retry(node("a", 3), 2, 0)), slots(3), second(1))
		r.expect("first", "a/0#1", "a/1#1", "a/2#1")
		report := r.worker.report()
		r.set(func() { r.worker.down = true })
		if err := r.master.DisconnectWorker(t.Context(), r.worker.who, "unreachable"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		held := maps.Clone(r.worker.slots)
		r.set(func() { clear(r.worker.slots) }) // as the resource manager sees it
		r.cluster.share()
		r.expect("on the other worker, one by one", "a/0#2")
		if err := r.master.AttemptsEnded(t.Context(), r.worker.who, []gateway.AttemptEnd{finished(attempt("a", 0, 1))}); !errors.Is(err, gateway.ErrNotRegistered) {
			t.Errorf("a report of a lost worker: %v, want ErrNotRegistered", err)
		}
		r.set(func() { r.worker.down, r.worker.slots = false, held })
		reply, err := r.master.RegisterWorker(t.Context(), r.worker.who, report)
		if err != nil {
			t.Fatal(err)
		}
		// a/0 has a newer attempt; the others wait for a slot, and are adopted.
		if !slices.Equal(reply.Unwanted, []gateway.AttemptID{attempt("a", 0, 1)}) || len(reply.Refused) != 1 || reply.Refused[0] != r.worker.running[attempt("a", 0, 1)] {
			t.Fatalf("the answer is %+v, want that a/0#1 and its slot are given up", reply)
		}
		r.set(func() {
			r.worker.registered = true
			delete(r.worker.running, attempt("a", 0, 1))
			delete(r.worker.slots, reply.Refused[0])
		})
		r.expect("nothing else")
		for n := range 3 {
			if s := r.subtask(0, n); s.Status != job.SubtaskRunning {
				t.Errorf("subtask %d is %s, want RUNNING", n, s.Status)
			}
		}
		r.finish("a", 1, 1)
		r.finish("a", 2, 1)
		r.finish("a", 0, 2)
		r.finishes(job.StatusFinished)
	})
}

func TestOfTwoAttemptsTheNewerIsKept(t *testing.T) {
	for name, olderFirst := range map[string]bool{"the older registers first": true, "the newer registers first": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := prepare(t, graph(node("a", 1)), second(1), recovered())
				older, newer := r.worker, r.cluster.worker("w2")
				for w, id := range map[*host]gateway.AttemptID{older: attemptOf(5, "a", 0, 3), newer: attemptOf(6, "a", 0, 1)} {
					r.cluster.mu.Lock()
					w.running[id] = w.allocate()
					r.cluster.holders = append(r.cluster.holders, w.who)
					r.cluster.mu.Unlock()
				}
				r.run()
				first, then := newer, older
				if olderFirst {
					first, then = older, newer
				}
				r.rejoin(first)
				r.rejoin(then)
				if s := r.subtask(0, 0); s.Epoch != 6 || s.Attempt != 1 || s.Status != job.SubtaskRunning {
					t.Errorf("the subtask is %+v, want attempt 1 of epoch 6 RUNNING", s)
				}
				r.end(finished(attemptOf(6, "a", 0, 1)))
				r.finishes(job.StatusFinished)
				r.set(func() {
					if n := len(older.running); n != 0 {
						t.Error("the older attempt runs on")
					}
				})
			})
		})
	}
}

// A failure whose record was acknowledged to nobody is reported again to the next
// leader, and counts once.
func TestAFailureCountsOnceAcrossLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(retry(node("a", 2), 2, time.Hour)))
		r.expect("first", "a/0#1", "a/1#1")
		r.fail("a", 0, 1)
		r.worker.kept[attempt("a", 0, 1)] = failed(attempt("a", 0, 1)) // the answer was lost
		r.takeOver()
		r.rejoin(r.worker)
		if rec := r.says(0); rec.Used != 1 || len(r.worker.kept) != 0 {
			t.Errorf("the record says %+v and %d ends are kept, want one attempt used and none kept", rec, len(r.worker.kept))
		}
		r.expect("at once: a delay is not recorded", "a/0#2")
		r.end(failed(attemptOf(8, "a", 0, 2)))
		if snap := r.finishes(job.StatusFailed); snap.Error == "" {
			t.Error("no error is shown")
		}
	})
}

func TestAnEndThatNoLeaderHasSettledIsTakenByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)), with(func(r *rig) { r.store.gate = make(chan struct{}) }))
		r.expect("first", "a/0#1", "a/1#1")
		r.finish("a", 0, 1) // its write never ends
		r.takeOver()
		r.store.gate = nil
		r.rejoin(r.worker)
		r.expect("nothing runs again")
		if rec := r.says(0); !rec.Finished || len(r.worker.kept) != 0 {
			t.Errorf("the record says %+v and %d ends are kept, want it finished and none kept", rec, len(r.worker.kept))
		}
		r.finish("a", 1, 1)
		r.finishes(job.StatusFinished)
	})
}

// The last success is recorded with the job's result, after Run. If the leader dies
// before, the next one must not run it again.
func TestTheLastSuccessIsKeptUntilTheResultIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)))
		r.expect("first", "a/0#1", "a/1#1")
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		r.finishes(job.StatusFinished)
		if len(r.worker.kept) != 1 || len(r.worker.slots) != 1 {
			t.Fatalf("%d ends and %d slots are kept, want the last of each", len(r.worker.kept), len(r.worker.slots))
		}
		r.takeOver() // the leader died before it could record the result
		r.rejoin(r.worker)
		r.finishes(job.StatusFinished)
		r.expect("nothing runs again")
	})
}

func TestSlotsOfAWorkerThatKeepsEndsAreNotAllGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := begin(t, graph(retry(node("a", 2), 2, time.Hour)), slots(2), with(func(r *rig) { r.store.gate = gate }))
		r.expect("first", "a/0#1", "a/1#1")
		r.finish("a", 0, 1)
		r.fail("a", 1, 1)
		if err := r.master.GiveBack(t.Context(), gateway.Need{Count: 2}); err != nil {
			t.Error(err)
		}
		pass(time.Minute)
		r.set(func() {
			if n := len(r.worker.slots); n != 1 {
				t.Errorf("%d slots are held while ends are not recorded, want 1", n)
			}
		})
		r.store.mu.Lock()
		r.store.gate = nil
		r.store.mu.Unlock()
		close(gate)
		pass(time.Second)
		r.set(func() {
			if n := len(r.worker.slots); n != 0 {
				t.Errorf("%d slots are held when the ends are recorded and nothing can run, want none", n)
			}
		})
		r.cancel()
	})
}

// A Deploy whose answer was lost is repeated. A worker that had been told to forget
// the end would run the attempt again.
func TestAnEndIsNotSettledWhileItsDeploymentIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answered := make(chan struct{})
		r := begin(t, graph(node("a", 1), node("b", 1, "a")), with(func(r *rig) {
			r.worker.onDeploy = func(d gateway.Deployment) {
				if d.Attempt.Task == "a" {
					<-answered
				}
			}
		}))
		r.expect("first", "a/0#1")
		r.finish("a", 0, 1)
		if rec := r.says(0); !rec.Finished || len(r.worker.kept) != 1 {
			t.Errorf("the record says %+v and %d ends are kept, want it finished and one kept", rec, len(r.worker.kept))
		}
		r.rejoin(r.worker)
		r.set(func() {
			if len(r.worker.kept) != 1 {
				t.Error("the end was forgotten at a registration")
			}
		})
		close(answered)
		r.expect("the next", "b/0#1")
		r.set(func() {
			if len(r.worker.kept) != 0 {
				t.Error("the end is kept though it is settled")
			}
		})
		r.finish("b", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestCallsOfWorkersWaitForTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)))
		r.expect("first", "a/0#1", "a/1#1")
		r.cancel()
		<-r.ended
		r.store.readErr = failTimes(3, gateway.ErrNotLeader)
		r.store.record.Finish(1, 7, 1, false)
		r.takeOver()
		answered := make(chan error, 1)
		go func() { answered <- r.worker.register(r.master) }()
		synctest.Wait()
		if len(answered) > 0 {
			t.Error("a worker was judged before the record was read")
		}
		pass(time.Minute)
		if err := <-answered; err != nil {
			t.Error(err)
		}
		if _, runs := r.worker.running[attempt("a", 1, 1)]; runs || len(r.worker.running) != 1 {
			t.Errorf("%v run, want a/0#1 alone: the other's success is recorded", r.worker.running)
		}
		r.finish("a", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestAReportOfANewerLeadersAttemptsIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)))
		r.expect("first", "a/0#1")
		newer := attemptOf(8, "a", 0, 1)
		_, err := r.master.RegisterWorker(t.Context(), r.worker.who, gateway.JobReport{Running: []gateway.RunningAttempt{{Attempt: newer, Slot: "s"}}})
		if !errors.Is(err, gateway.ErrFencingToken) {
			t.Errorf("registration: %v, want ErrFencingToken", err)
		}
		if err := r.master.AttemptsEnded(t.Context(), r.worker.who, []gateway.AttemptEnd{finished(newer)}); !errors.Is(err, gateway.ErrFencingToken) {
			t.Errorf("report: %v, want ErrFencingToken", err)
		}
		r.finish("a", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestCancelDuringReconcilingStopsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)), slots(1), second(1))
		r.expect("first", "a/0#1", "a/1#1")
		r.takeOver()
		r.rejoin(r.worker)
		r.master.Cancel()
		synctest.Wait()
		if got := r.master.Snapshot().Status; got != job.StatusCancelling {
			t.Errorf("the job is %s while a worker may have attempts of it, want CANCELLING", got)
		}
		r.rejoin(r.cluster.worker("w2"))
		r.finishes(job.StatusCanceled)
		for _, w := range r.cluster.workers {
			r.set(func() {
				if len(w.canceled) != 1 || len(w.running) != 0 {
					t.Errorf("worker %s was told to cancel %v and runs %v", w.who.ID, w.canceled, w.running)
				}
			})
		}
	})
}

func TestAJobThatEndsDoesNotWaitForEverForItsHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prepare(t, graph(node("a", 1)), recovered())
		r.cluster.holdersKnown = make(chan struct{})
		r.run()
		synctest.Wait()
		r.master.Cancel()
		pass(2*DefaultHeartbeatTimeout - time.Second)
		if got := r.master.Snapshot().Status; got != job.StatusCancelling {
			t.Errorf("the job is %s, want CANCELLING", got)
		}
		pass(time.Second)
		r.finishes(job.StatusCanceled)
	})
}
