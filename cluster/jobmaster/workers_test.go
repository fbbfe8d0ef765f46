package jobmaster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

func TestALostWorkersAttemptsRunElsewhereAndAreNotCounted(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(r *rig)
		wait time.Duration // until it is noticed
	}{
		"it says so": {lose: func(r *rig) {
			r.worker.registered = false
			if err := r.master.DisconnectWorker(r.t.Context(), r.worker.who, "stops"); err != nil {
				r.t.Error(err)
			}
		}},
		"two heartbeats fail":                  {lose: func(r *rig) { r.set(func() { r.worker.down = true }) }, wait: 4 * time.Second},
		"it does not know the master any more": {lose: func(r *rig) { r.set(func() { r.worker.mute = true }) }, wait: 4 * time.Second},
		"heartbeats hang":                      {lose: func(r *rig) { r.set(func() { r.worker.frozen = true }) }, wait: DefaultHeartbeatTimeout},
		"another process has its name": {lose: func(r *rig) {
			w := r.worker
			r.cluster.mu.Lock()
			w.who.Instance = "w1-2"
			clear(w.running)
			clear(w.slots)
			r.cluster.mu.Unlock()
			r.rejoin(w)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, graph(retry(node("a", 1), 2, 3*time.Second)))
				r.expect("first", "a/0#1")
				pass(time.Minute + time.Second) // between two heartbeats
				var w2 *host
				r.set(func() { w2 = newHost(r.cluster, "w2", 1) })
				c.lose(r)
				pass(c.wait)
				synctest.Wait()
				if s := r.subtask(0, 0); s.Status != job.SubtaskScheduled {
					t.Errorf("the subtask is %s when its worker is lost, want SCHEDULED", s.Status)
				}
				r.set(func() { r.worker.capacity = 0; clear(r.worker.slots) }) // the resource manager has lost it as well
				pass(3 * time.Second)
				r.cluster.share()
				r.expect("after the delay", "a/0#2")
				r.set(func() {
					if w2.deployed == nil || r.master.stats.lost.Load() != 1 {
						t.Errorf("it runs on %v, and %d attempts were lost; want w2 and 1", w2.deployed, r.master.stats.lost.Load())
					}
				})
				if n := r.writeCount(); n != 0 {
					t.Errorf("%d writes, want none: a lost attempt is not counted", n)
				}
				r.fail("a", 0, 2) // the first one that counts
				pass(time.Minute)
				r.expect("the last one", "a/0#3")
				r.finish("a", 0, 3)
				r.finishes(job.StatusFinished)
			})
		})
	}
}

func TestALostWorkerHearsOfItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)))
		r.expect("first", "a/0#1")
		r.set(func() { r.worker.mute = true })
		pass(time.Minute)
		r.set(func() {
			if len(r.worker.parted) != 1 || !strings.Contains(r.worker.parted[0], "2 heartbeats in a row failed") {
				t.Errorf("the worker was told %q, want one reason", r.worker.parted)
			}
		})
		r.set(func() {
			if beats := r.worker.beats; beats > 31 {
				t.Errorf("%d heartbeats, want none after the loss", beats)
			}
		})
		r.cancel()
	})
}

func TestHeartbeatsGoToEachWorkerFiveInATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)), slots(1), second(1), func(_ *rig, c *Config) { c.HeartbeatTimeout = 5 * time.Second })
		r.expect("first", "a/0#1", "a/1#1")
		pass(100*time.Second + 500*time.Millisecond)
		for _, w := range r.cluster.workers {
			r.set(func() {
				if w.beats != 100 {
					t.Errorf("%d heartbeats to %s in 100 s, want 100", w.beats, w.who.ID)
				}
			})
		}
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		r.finishes(job.StatusFinished)
	})
}

// A worker takes a deployment for a heartbeat, and nothing else that it is told.
func TestWorkerThatIsToldToFreeSlotsGetsHeartbeatsAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 31)), slots(31))
		r.started()
		for n := range 30 {
			r.finish("a", n, 1)
			pass(time.Second)
		}
		r.set(func() {
			if r.worker.beats < 14 || len(r.worker.freed) < 29 {
				t.Errorf("%d heartbeats in 30 s in which %d slots were freed one by one, want one every 2 s", r.worker.beats, len(r.worker.freed))
			}
		})
		r.finish("a", 30, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestALostWorkerCountsAsEndedWhenTheJobEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), with(func(r *rig) { r.worker.stubborn = true }))
		r.expect("first", "a/0#1")
		r.master.Cancel()
		pass(time.Minute)
		if got := r.master.Snapshot().Status; got != job.StatusCancelling {
			t.Errorf("the job is %s while its attempt runs, want CANCELLING", got)
		}
		r.set(func() { r.worker.down = true })
		snap := r.finishes(job.StatusCanceled)
		if got := snap.Tasks[0].Subtasks[0].Status; got != job.SubtaskCanceled {
			t.Errorf("the subtask is %s, want CANCELED", got)
		}
	})
}

func TestAWorkerThatCannotBeToldAnythingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), with(func(r *rig) {
			r.worker.deployErr = failTimes(1000, errors.New("message too large"))
		}))
		pass(DefaultHeartbeatTimeout + 6*time.Second)
		r.set(func() {
			if r.master.stats.lost.Load() == 0 || len(r.worker.parted) == 0 {
				t.Errorf("%d attempts are lost and the worker was told %q, want the worker lost", r.master.stats.lost.Load(), r.worker.parted)
			}
		})
		r.cancel()
	})
}

func TestDeploymentsForOneWorkerGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 40)), slots(30), second(10))
		synctest.Wait()
		for _, w := range r.cluster.workers {
			r.set(func() {
				if len(w.batches) != 1 || w.batches[0] != w.capacity {
					t.Errorf("worker %s got its %d attempts in calls of %v, want one call", w.who.ID, w.capacity, w.batches)
				}
			})
		}
		r.cancel()
	})
}

func TestABatchStaysBelowWhatAMessageMayHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := node("a", 20)
		spec.Env = map[string]string{"DATA": strings.Repeat("x", 900<<10)}
		r := begin(t, graph(spec), slots(20))
		synctest.Wait()
		r.cluster.mu.Lock()
		if want := []int{4, 4, 4, 4, 4}; !slices.Equal(r.worker.batches, want) {
			t.Errorf("20 attempts of 900 KiB went in calls of %v, want %v", r.worker.batches, want)
		}
		r.cluster.mu.Unlock()
		r.cancel()
	})
}

func TestASlotServesTheNextSubtask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 3), node("b", 1, "a")), slots(1), with(func(r *rig) {
			r.worker.onDeploy = func(d gateway.Deployment) { r.worker.end(finished(d.Attempt)) }
		}))
		r.finishes(job.StatusFinished)
		r.set(func() {
			if r.worker.named != 1 || len(r.worker.deployed) != 4 {
				t.Errorf("%d attempts used %d slots, want 4 and 1", len(r.worker.deployed), r.worker.named)
			}
		})
	})
}

func TestSlotsThatNothingCanUseAreFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 3), node("b", 1, "a")))
		r.expect("first", "a/0#1", "a/1#1", "a/2#1")
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		pass(idleGrace - 100*time.Millisecond)
		r.set(func() {
			if n := len(r.worker.freed); n != 0 {
				t.Errorf("%d slots were freed at once, want none: the next task may need them", n)
			}
		})
		pass(200 * time.Millisecond)
		r.set(func() {
			if n := len(r.worker.freed); n != 2 {
				t.Errorf("%d slots were freed while one subtask runs, want 2", n)
			}
		})
		r.set(func() {
			if got := r.cluster.declared[len(r.cluster.declared)-1]; got != 1 {
				t.Errorf("the declared need is %d, want 1", got)
			}
		})
		r.finish("a", 2, 1)
		r.expect("next", "b/0#1")
		r.set(func() {
			if r.worker.named != 3 {
				t.Errorf("%d slots were used, want 3", r.worker.named)
			}
		})
		r.finish("b", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestSlotsAreGivenBackAsAttemptsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 10)))
		r.expect("first", "a/0#1", "a/1#1", "a/2#1", "a/3#1")
		r.set(func() { r.worker.capacity = 2 })
		if err := r.master.GiveBack(t.Context(), gateway.Need{Count: 2}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		r.set(func() {
			if n := len(r.worker.freed); n != 0 || len(r.worker.canceled) != 0 {
				t.Errorf("%d slots were freed and %v canceled while attempts run, want none", n, r.worker.canceled)
			}
		})
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		r.expect("in slots that were given back")
		r.set(func() {
			if n := len(r.worker.freed); n != 2 {
				t.Errorf("%d slots were freed, want 2", n)
			}
		})
		r.finish("a", 2, 1)
		r.expect("in a slot that was kept", "a/4#1")
		r.cancel()
	})
}

func TestSlotsAreGivenBackToAllWhoWantThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu, disk := map[string]string{"gpu": "true"}, map[string]string{"disk": "ssd"}
		r := begin(t, graph(node("a", 10)), slots(2), second(2), with(func(r *rig) {
			r.worker.labels, r.cluster.worker("w2").labels = gpu, disk
		}))
		r.expect("first", "a/0#1", "a/1#1", "a/2#1", "a/3#1")
		r.set(func() { r.worker.capacity, r.cluster.worker("w2").capacity = 1, 1 })
		// The second of the same labels takes the first one's place.
		for _, n := range []gateway.Need{{Requires: gpu, Count: 2}, {Requires: gpu, Count: 1}, {Requires: disk, Count: 1}} {
			if err := r.master.GiveBack(t.Context(), n); err != nil {
				t.Error(err)
			}
		}
		for n := range 4 {
			r.finish("a", n, 1)
		}
		r.expect("in the slots that were kept", "a/4#1", "a/5#1")
		r.set(func() {
			for _, w := range r.cluster.workers {
				if n := len(w.freed); n != 1 {
					t.Errorf("%d slots of %s were freed, want 1: one is wanted there", n, w.who.ID)
				}
			}
		})
		r.cancel()
	})
}

func TestASubtaskRunsOnlyWhereItsLabelsAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(requiring(node("gpu", 2), "gpu", "true"), node("any", 3)), slots(2), second(1), with(func(r *rig) {
			r.worker.labels = map[string]string{"gpu": "true", "disk": "ssd"}
			r.cluster.worker("w2").labels = map[string]string{"gpu": "false"}
		}))
		// The slots of w1 go to those that need them, though the others could use them.
		r.expect("first", "any/0#1", "gpu/0#1", "gpu/1#1")
		r.set(func() {
			if got := r.cluster.worker("w2").deployed[0].Attempt.Task; got != "any" {
				t.Errorf("w2 runs %s, want any", got)
			}
		})
		want := []gateway.Need{{Requires: map[string]string{"gpu": "true"}, Count: 2}, {Count: 3}}
		r.set(func() {
			if got := r.cluster.needs; len(got) != 2 || got[0].Count != 2 || got[0].Requires["gpu"] != "true" || got[1].Count != 3 || len(got[1].Requires) != 0 {
				t.Errorf("the needs are %+v, want %+v", got, want)
			}
		})
		r.finish("gpu", 0, 1)
		r.expect("in the free slot", "any/1#1")
		r.cancel()
	})
}

func TestASlotThatNothingNeedsIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(requiring(node("gpu", 1), "gpu", "true"), node("any", 1)), slots(1))
		r.expect("first", "any/0#1")
		for name, want := range map[gateway.Slot]bool{"w1-1/9": false, "w1-1/1": true} {
			taken, err := r.master.OfferSlots(t.Context(), r.worker.who, []gateway.Slot{name})
			if err != nil || (len(taken) == 1) != want {
				t.Errorf("offer of %s: taken %v, %v; want it taken: %v", name, taken, err, want)
			}
		}
		other := gateway.Worker{ID: "w1", Instance: "another"}
		if _, err := r.master.OfferSlots(t.Context(), other, nil); !errors.Is(err, gateway.ErrNotRegistered) {
			t.Errorf("offer of a process that is not registered: %v, want ErrNotRegistered", err)
		}
		r.cancel()
	})
}

func TestAWorkerThatRegistersAgainGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deploying := make(chan struct{})
		r := begin(t, graph(node("a", 3)), slots(3), with(func(r *rig) {
			r.worker.onDeploy = func(d gateway.Deployment) {
				if d.Attempt.Subtask == 2 {
					<-deploying
				}
			}
		}))
		r.expect("first", "a/0#1", "a/1#1", "a/2#1")
		// One ended unheard, one was forgotten by the worker before it heard of it, and
		// it answers none of the calls before.
		r.cluster.mu.Lock()
		delete(r.worker.running, attempt("a", 0, 1))
		r.worker.kept[attempt("a", 0, 1)] = finished(attempt("a", 0, 1))
		delete(r.worker.running, attempt("a", 1, 1))
		r.cluster.mu.Unlock()
		r.rejoin(r.worker)
		r.expect("what was not heard of is told again", "a/1#1")
		close(deploying)
		synctest.Wait()
		if r.worker.connections != 1 || len(r.worker.kept) != 0 || !r.says(0).Finished {
			t.Errorf("%d connections, %d ends kept, recorded: %v; want one, none, and a/0 finished",
				r.worker.connections, len(r.worker.kept), r.says(0))
		}
		r.rejoin(r.worker)
		r.expect("nothing runs twice")
		r.finish("a", 1, 1)
		r.finish("a", 2, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestAWorkerThatCannotBeDialledIsNotRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), slots(0))
		_, err := r.master.RegisterWorker(t.Context(), gateway.Worker{ID: "w9", Address: "nowhere"}, gateway.JobReport{})
		if err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("registration: %v, want an error that names the address", err)
		}
		r.cancel()
	})
}

func TestCallsAfterTheEndFailAndHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)))
		r.expect("first", "a/0#1")
		r.finish("a", 0, 1)
		r.finishes(job.StatusFinished)
		ctx := t.Context()
		_, register := r.master.RegisterWorker(ctx, r.worker.who, gateway.JobReport{})
		_, offer := r.master.OfferSlots(ctx, r.worker.who, nil)
		for call, err := range map[string]error{
			"RegisterWorker": register, "OfferSlots": offer,
			"AttemptsEnded":             r.master.AttemptsEnded(ctx, r.worker.who, nil),
			"DisconnectWorker":          r.master.DisconnectWorker(ctx, r.worker.who, ""),
			"Heartbeat":                 r.master.Heartbeat(ctx, gateway.Peer{Term: term(7)}),
			"DisconnectResourceManager": r.master.DisconnectResourceManager(ctx, ""),
			"GiveBack":                  r.master.GiveBack(ctx, gateway.Need{Count: 1}),
		} {
			if !errors.Is(err, gateway.ErrStopped) {
				t.Errorf("%s: %v, want ErrStopped", call, err)
			}
		}
		r.set(func() {
			if r.worker.connections != 0 {
				t.Errorf("%d connections are left", r.worker.connections)
			}
		})
	})
}

func TestACallerWhoseContextEndsIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)), with(func(r *rig) { r.store.gate = make(chan struct{}) }))
		r.expect("first", "a/0#1", "a/1#1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.master.AttemptsEnded(ctx, r.worker.who, []gateway.AttemptEnd{finished(attempt("a", 0, 1))})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a report that cannot be recorded: %v, want the context's error", err)
		}
		again := make(chan error, 1)
		go func() {
			again <- r.master.AttemptsEnded(context.Background(), r.worker.who, []gateway.AttemptEnd{finished(attempt("a", 0, 1))})
		}()
		synctest.Wait()
		if len(again) > 0 {
			t.Error("the same report was settled though it is not recorded")
		}
		r.cancel()
		if err := <-again; !errors.Is(err, gateway.ErrStopped) {
			t.Errorf("a report that the master has not settled: %v, want ErrStopped", err)
		}
	})
}
