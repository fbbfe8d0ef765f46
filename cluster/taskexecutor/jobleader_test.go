package taskexecutor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// functions are those of most tests: one that waits for its context, and one that has
// ended.
func functions() Funcs {
	return Funcs{
		"block": func(ctx context.Context, _ TaskContext) error { <-ctx.Done(); return ctx.Err() },
		"noop":  func(context.Context, TaskContext) error { return nil },
	}
}

func TestSlotsAreReportedOrOfferedToTheJobsMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 4, Labels: map[string]string{"gpu": "true"}})
		_, masters := l.elect(7, "a", "b")
		a1, b1 := l.slots(t, 7, "a", 2), l.slots(t, 7, "b", 1)
		synctest.Wait()
		report := next(t, masters["a"].registrations, "registration")
		if !slices.Equal(report.Slots, a1) || report.Labels["gpu"] != "true" {
			t.Errorf("a's master was told of %v with labels %v, want %v with gpu", report.Slots, report.Labels, a1)
		}
		if got := next(t, masters["b"].registrations, "registration").Slots; !slices.Equal(got, b1) {
			t.Errorf("b's master was told of %v, want %v", got, b1)
		}
		a2 := l.slots(t, 7, "a", 1)
		synctest.Wait()
		if got := next(t, masters["a"].offered, "offer"); !slices.Equal(got, a2) {
			t.Errorf("a's master was offered %v, want %v", got, a2)
		}
		quiet(t, masters["a"].registrations, "registration")
		quiet(t, masters["b"].offered, "offer")
	})
}

func TestRefusedSlotsAreFreedAndToldToTheManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 4})
		rm, _ := l.elect(7, "j")
		m := newMaster().with(func(m *master) {
			m.register = func(_ context.Context, has gateway.JobReport) (gateway.JobReply, error) {
				return gateway.JobReply{Refused: has.Slots[:1]}, nil
			}
			m.offer = func(_ context.Context, slots []gateway.Slot) ([]gateway.Slot, error) { return slots[1:], nil }
		})
		l.install(term(7), rm, map[job.ID]*master{"j": m})
		synctest.Wait() // a registration later on would say what is free
		first := l.slots(t, 7, "j", 2)
		synctest.Wait()
		if got := next(t, rm.vacated, "word of free slots"); !slices.Equal(got, first[:1]) {
			t.Errorf("freed %v, want %v", got, first[:1])
		}
		second := l.slots(t, 7, "j", 3) // all that are free
		synctest.Wait()
		if got := next(t, rm.vacated, "word of free slots"); !slices.Equal(got, second[:1]) {
			t.Errorf("freed %v, want %v", got, second[:1])
		}
		if slices.Contains(second, first[0]) {
			t.Errorf("the name %s was used again", first[0])
		}
	})
}

func TestLostLeaderIsNotReconnectedAndTheNextAdopts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 2, Funcs: functions()})
		_, old := l.elect(7, "j")
		slots := l.slots(t, 7, "j", 2)
		l.launch(t, function("block", theAttempt("j", 0), slots[0]))
		synctest.Wait()
		l.dispatcher.lead(term(7)) // the same leader is ignored
		l.dispatcher.nobody()
		l.resourceManager.nobody()
		<-time.After(50 * time.Second)
		if n := len(old["j"].registrations); n != 1 {
			t.Errorf("%d registrations at a leader that was lost, want 1", n)
		}
		if open := l.network.connections(); open != 0 {
			t.Errorf("%d connections are open without a leader, want 0", open)
		}
		_, masters := l.elect(8, "j")
		synctest.Wait()
		report := next(t, masters["j"].registrations, "registration at the next leader")
		want := []gateway.RunningAttempt{{Attempt: theAttempt("j", 0), Slot: slots[0]}}
		if !slices.Equal(report.Running, want) || !slices.Equal(report.Slots, slots) || len(report.Ended) != 0 {
			t.Errorf("reported %+v, want %v running and slots %v", report, want, slots)
		}
		if report.Age != 50*time.Second {
			t.Errorf("the job is %v old here, want 50 s", report.Age)
		}
		l.pass(t, 5*time.Minute, 8, "j")
		quiet(t, masters["j"].ends, "end")
	})
}

func TestMasterThatIsNotThereYetIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		rm, _ := l.elect(7)
		l.slots(t, 7, "j", 1)
		l.pass(t, 10*time.Second, 7)
		m := newMaster().with(func(m *master) {
			m.register = func(context.Context, gateway.JobReport) (gateway.JobReply, error) {
				return gateway.JobReply{}, gateway.ErrStopped
			}
		})
		l.install(term(7), rm, map[job.ID]*master{"j": m})
		l.pass(t, 10*time.Second, 7)
		if n := len(m.registrations); n < 9 || n > 11 {
			t.Errorf("%d tries within 10 s at a master that refuses, want one a second", n)
		}
		m.with(func(m *master) { m.register = nil })
		<-time.After(1100 * time.Millisecond)
		if err := l.beat(t.Context(), 7, "j"); err != nil {
			t.Errorf("not registered a second after the master agreed: %v", err)
		}
	})
}

func TestWorkerRegistersAgainWhenTheMasterIsGone(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, l *lab, m *master){
		"silent": func(t *testing.T, l *lab, _ *master) { l.pass(t, 10*time.Second+200*time.Millisecond, 7) },
		"disconnected": func(t *testing.T, l *lab, _ *master) {
			if err := l.Disconnect(t.Context(), gateway.Peer{Term: termOf(term(7)), Job: "j"}, "bye"); err != nil {
				t.Error(err)
			}
		},
		"worker unknown there": func(t *testing.T, l *lab, m *master) {
			m.with(func(m *master) {
				m.offer = func(context.Context, []gateway.Slot) ([]gateway.Slot, error) { return nil, gateway.ErrNotRegistered }
			})
			l.slots(t, 7, "j", 1)
		},
		"two calls fail": func(t *testing.T, l *lab, m *master) {
			m.with(func(m *master) {
				m.offer = func(context.Context, []gateway.Slot) ([]gateway.Slot, error) { return nil, errNobody }
			})
			l.slots(t, 7, "j", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := begin(t, Config{Slots: 2, Funcs: functions()})
				_, masters := l.elect(7, "j")
				m := masters["j"]
				l.launch(t, function("block", theAttempt("j", 0), l.slots(t, 7, "j", 1)[0]))
				l.pass(t, time.Minute, 7, "j")
				if n := len(m.registrations); n != 1 {
					t.Fatalf("%d registrations while heartbeats came, want 1", n)
				}
				lose(t, l, m)
				l.pass(t, time.Second, 7)
				if n := len(m.registrations); n != 2 {
					t.Fatalf("%d registrations, want another one", n)
				}
				<-m.registrations
				if again := <-m.registrations; len(again.Running) != 1 {
					t.Errorf("reported %+v, want the attempt that runs", again)
				}
			})
		})
	}
}

func TestSilenceOfOneMasterConcernsItsJobOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 2})
		rm, masters := l.elect(7, "silent", "heard")
		l.slots(t, 7, "silent", 1)
		l.slots(t, 7, "heard", 1)
		l.pass(t, DefaultHeartbeatTimeout-time.Second, 7, "heard")
		if n := len(masters["silent"].registrations); n != 1 {
			t.Errorf("%d registrations before the time-out, want 1", n)
		}
		l.pass(t, 2*time.Second, 7, "heard")
		if n := len(masters["silent"].registrations); n != 2 {
			t.Errorf("%d registrations at the master that was silent, want another one", n)
		}
		if a, b := len(masters["heard"].registrations), len(rm.registrations); a != 1 || b != 1 {
			t.Errorf("%d registrations at the other master and %d at the manager, want 1 each", a, b)
		}
	})
}

func TestDisconnectGivesUpARegistrationThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		rm, masters := l.elect(7, "j")
		m := masters["j"].with(func(m *master) {
			m.register = func(ctx context.Context, _ gateway.JobReport) (gateway.JobReply, error) {
				<-ctx.Done()
				return gateway.JobReply{}, ctx.Err()
			}
		})
		rm.with(func(m *fakeManager) {
			m.register = func(ctx context.Context, _ gateway.WorkerRegistration) (gateway.WorkerReply, error) {
				<-ctx.Done()
				return gateway.WorkerReply{}, ctx.Err()
			}
		})
		for _, id := range []job.ID{"", "j"} {
			if err := l.Disconnect(t.Context(), gateway.Peer{Term: termOf(term(7)), Job: id}, "before all"); err != nil {
				t.Error(err)
			}
		}
		l.slots(t, 7, "j", 1)
		synctest.Wait()
		rm.with(func(m *fakeManager) { m.register = nil })
		m.with(func(m *master) { m.register = nil })
		for _, id := range []job.ID{"", "j"} {
			from := gateway.Peer{Term: termOf(term(7)), Job: id}
			if err := l.Disconnect(t.Context(), from, "whatever it asked"); err != nil {
				t.Error(err)
			}
			if _, err := l.Heartbeat(t.Context(), from); !errors.Is(err, gateway.ErrNotRegistered) {
				t.Errorf("heartbeat of %q, which has disconnected, got %v, want ErrNotRegistered", id, err)
			}
		}
		<-time.After(retryFirst)
		synctest.Wait()
		if err := l.beat(t.Context(), 7, "j"); err != nil {
			t.Errorf("not registered again after the pause: %v", err)
		}
	})
}

func TestJobWithoutItsMasterIsGivenUpAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 4, Funcs: functions()})
		rm, masters := l.elect(7, "lost", "led")
		synctest.Wait()
		lost, led := l.slots(t, 7, "lost", 3), l.slots(t, 7, "led", 1)
		masters["lost"].with(func(m *master) { // it settles nothing
			m.settle = func(ctx context.Context, _ []gateway.AttemptEnd) error { <-ctx.Done(); return ctx.Err() }
		})
		l.launch(t, function("block", theAttempt("lost", 0), lost[0]), function("noop", theAttempt("lost", 1), lost[1]),
			function("block", theAttempt("led", 0), led[0]))
		synctest.Wait()
		l.install(term(7), rm, map[job.ID]*master{"led": masters["led"]})
		if err := l.Disconnect(t.Context(), gateway.Peer{Term: termOf(term(7)), Job: "lost"}, "bye"); err != nil {
			t.Fatal(err)
		}
		l.pass(t, 59*time.Second, 7, "led")
		if m := figures(t, l); m["attempts_running"] != 2 || m["ends_kept"] != 1 || m["slots_free"] != 0 {
			t.Errorf("before the grace is over: %v, want 2 running, 1 end kept, no slot free", m)
		}
		l.pass(t, 2*time.Second, 7, "led")
		if m := figures(t, l); m["attempts_running"] != 1 || m["ends_kept"] != 0 || m["slots_free"] != 3 {
			t.Errorf("after the grace: %v, want 1 running, no end kept, 3 slots free", m)
		}
		var freed []gateway.Slot
		for len(rm.vacated) > 0 {
			freed = append(freed, <-rm.vacated...)
		}
		if slices.Sort(freed); !slices.Equal(freed, lost) {
			t.Errorf("the manager was told of %v, want %v", freed, lost)
		}
		// A master that comes after all hears of nothing.
		_, next8 := l.elect(8, "lost", "led")
		synctest.Wait()
		quiet(t, next8["lost"].registrations, "registration for a job that was given up")
		if report := next(t, next8["led"].registrations, "registration"); len(report.Running) != 1 {
			t.Errorf("reported %+v of the other job, want its attempt", report)
		}
	})
}

// figures are the worker's metrics by name, without prefix and labels.
func figures(t *testing.T, l *lab) map[string]int {
	t.Helper()
	metrics, err := l.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]int{}
	for _, f := range metrics {
		m[f.Name[len("coordd_worker_"):]+f.Labels["outcome"]] = int(f.Value)
	}
	return m
}

func TestMasterDecidesWhatBecomesOfWhatItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 6, Funcs: functions()})
		_, masters := l.elect(7, "j")
		masters["j"].with(func(m *master) {
			m.settle = func(ctx context.Context, _ []gateway.AttemptEnd) error { <-ctx.Done(); return ctx.Err() }
		})
		slots := l.slots(t, 7, "j", 6)
		const wanted, unwanted, settled, kept, dropped = 0, 1, 2, 3, 4
		for subtask, f := range map[int]string{wanted: "block", unwanted: "block", settled: "noop", kept: "noop", dropped: "noop"} {
			l.launch(t, function(f, theAttempt("j", subtask), slots[subtask]))
		}
		synctest.Wait()
		m := newMaster().with(func(m *master) {
			m.register = func(context.Context, gateway.JobReport) (gateway.JobReply, error) {
				return gateway.JobReply{
					Unwanted: []gateway.AttemptID{theAttempt("j", unwanted), theAttempt("j", dropped)},
					Settled:  []gateway.AttemptID{theAttempt("j", settled)},
					Refused:  []gateway.Slot{slots[5]},
				}, nil
			}
		})
		l.install(term(8), newManager(), map[job.ID]*master{"j": m})
		l.dispatcher.lead(term(8))
		<-time.After(time.Second)
		report := <-m.registrations
		if len(report.Running) != 2 || len(report.Ended) != 3 || len(report.Slots) != 6 {
			t.Errorf("reported %d running, %d ended, %d slots; want 2, 3, 6", len(report.Running), len(report.Ended), len(report.Slots))
		}
		if end := <-m.ends; end.Attempt != theAttempt("j", kept) {
			t.Errorf("reported the end of %+v, want of subtask %d", end.Attempt, kept)
		}
		quiet(t, m.ends, "end")
		if f := figures(t, l); f["attempts_running"] != 1 || f["slots_free"] != 1 || f["ends_kept"] != 0 {
			t.Errorf("%v, want 1 running, 1 slot free, nothing kept", f)
		}
	})
}

func TestOneDeadMasterDelaysNoOtherJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 40, Funcs: functions()})
		var ids []job.ID
		for i := range 20 {
			ids = append(ids, job.ID("job-"+leader.Epoch(i).String()))
		}
		_, masters := l.elect(7, ids...)
		for i, id := range ids {
			if i%2 == 0 { // it never answers
				masters[id].with(func(m *master) {
					m.register = func(ctx context.Context, _ gateway.JobReport) (gateway.JobReply, error) {
						<-ctx.Done()
						return gateway.JobReply{}, ctx.Err()
					}
				})
			}
			slots := l.slots(t, 7, id, 2)
			l.launch(t, function("noop", theAttempt(id, 0), slots[0]))
		}
		synctest.Wait()
		for i, id := range ids {
			if got, want := len(masters[id].ends), i%2; got != want {
				t.Errorf("job %d heard of %d ends, want %d", i, got, want)
			}
		}
	})
}

func TestConnectionOfAJobThatHasNothingHereGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		_, masters := l.elect(7, "j")
		slots := l.slots(t, 7, "j", 1)
		synctest.Wait()
		if err := l.FreeSlots(t.Context(), termOf(term(7)), slots); err != nil {
			t.Fatal(err)
		}
		l.pass(t, 30*time.Second, 7, "j") // it stays for a while
		l.slots(t, 7, "j", 1)
		synctest.Wait()
		if n := len(masters["j"].registrations); n != 1 {
			t.Errorf("%d registrations, want the one still to hold", n)
		}
		if err := l.FreeSlots(t.Context(), termOf(term(7)), (<-masters["j"].offered)); err != nil {
			t.Fatal(err)
		}
		l.pass(t, 59*time.Second, 7, "j")
		<-time.After(2 * time.Second)
		if err := l.beat(t.Context(), 7, "j"); !errors.Is(err, gateway.ErrNotRegistered) {
			t.Errorf("heartbeat of a master that has nothing here got %v, want ErrNotRegistered", err)
		}
	})
}

// A master that ends with its job disconnects; there is nothing to come back for.
func TestDisconnectedMasterOfAJobThatHasNothingHereIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		_, masters := l.elect(7, "j")
		slots := l.slots(t, 7, "j", 1)
		synctest.Wait()
		if err := l.FreeSlots(t.Context(), termOf(term(7)), slots); err != nil {
			t.Fatal(err)
		}
		if err := l.Disconnect(t.Context(), gateway.Peer{Term: termOf(term(7)), Job: "j"}, "done"); err != nil {
			t.Fatal(err)
		}
		l.pass(t, 10*time.Second, 7)
		if n := len(masters["j"].registrations); n != 1 {
			t.Errorf("%d registrations, want 1", n)
		}
	})
}

func TestDeploymentsStandForHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 1, Funcs: Funcs{"nothing": func(context.Context, TaskContext) error { return nil }}})
		rm, _ := l.elect(7, "j")
		m := newMaster()
		l.install(term(7), rm, map[job.ID]*master{"j": m})
		slot := l.slots(t, 7, "j", 1)[0]
		synctest.Wait()
		next(t, m.registrations, "registration")
		for n := range 10 {
			<-time.After(DefaultHeartbeatTimeout / 2)
			refused, err := l.Deploy(t.Context(), termOf(term(7)), []gateway.Deployment{{
				Attempt: gateway.AttemptID{Job: "j", Task: "t", Subtask: n, Epoch: 7, N: 1}, Slot: slot, Func: "nothing",
			}})
			if err != nil || len(refused) > 0 {
				t.Fatal(errors.Join(err), refused)
			}
			synctest.Wait()
		}
		quiet(t, m.registrations, "registration")
	})
}
