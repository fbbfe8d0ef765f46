package taskexecutor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/rpc"
)

func TestWorkerRegistersWithWhatItIsAndHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 3, Labels: map[string]string{"gpu": "true"}, Address: "here:9", Release: "v1"})
		rm, _ := l.elect(7, "j")
		synctest.Wait()
		first := next(t, rm.registrations, "registration")
		if first.Worker != l.Worker() || first.Worker.Address != "here:9" || first.Labels["gpu"] != "true" || first.Release != "v1" {
			t.Errorf("registered as %+v", first)
		}
		if first.Report.Slots != 3 || len(first.Report.Allocated) != 0 {
			t.Errorf("first report %+v, want 3 slots, none allocated", first.Report)
		}
		slots := l.slots(t, 7, "j", 2)
		rm8, _ := l.elect(8, "j")
		synctest.Wait()
		again := next(t, rm8.registrations, "registration at the next leader")
		want := []gateway.Allocation{{Slot: slots[0], Job: "j"}, {Slot: slots[1], Job: "j"}}
		if !slices.Equal(again.Report.Allocated, want) || again.Worker != first.Worker {
			t.Errorf("second report %+v of %+v, want %v of the same worker", again.Report, again.Worker, want)
		}
	})
}

func TestRegistrationFollowsTheSessionNotTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		rm, _ := l.elect(7)
		synctest.Wait()
		l.resourceManager.lead(term(7)) // announced again
		synctest.Wait()
		if n := len(rm.registrations); n != 1 {
			t.Errorf("%d registrations in one session, want 1", n)
		}
		other, _ := l.elect(8) // at the same address
		synctest.Wait()
		if n := len(other.registrations); n != 1 {
			t.Errorf("%d registrations at the new session, want 1", n)
		}
		if open := l.network.connections(); open != 1 {
			t.Errorf("%d connections are open, want 1", open)
		}
		if err := l.beat(t.Context(), 7); !errors.Is(err, gateway.ErrFencingToken) {
			t.Errorf("heartbeat of the deposed manager got %v, want ErrFencingToken", err)
		}
		if err := l.beat(t.Context(), 8); err != nil {
			t.Errorf("heartbeat of the new manager got %v", err)
		}
	})
}

func TestRegistrationThatTakesTooLongIsTriedAgainWithTwiceTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		began := time.Now()
		var at []time.Duration
		rm := newManager().with(func(m *fakeManager) {
			m.register = func(ctx context.Context, _ gateway.WorkerRegistration) (gateway.WorkerReply, error) {
				at = append(at, time.Since(began).Round(time.Millisecond))
				<-ctx.Done()
				return gateway.WorkerReply{}, ctx.Err()
			}
		})
		l.install(term(7), rm, nil)
		l.resourceManager.lead(term(7))
		<-time.After(2 * time.Minute)
		_ = l.stop()
		var want []time.Duration
		for wait, at := 100*time.Millisecond, time.Duration(0); at < 2*time.Minute; wait = min(2*wait, 30*time.Second) {
			want = append(want, at)
			at += wait
		}
		if !slices.Equal(at, want) {
			t.Errorf("tried at %v, want %v", at, want)
		}
	})
}

func TestRegistrationThatFailsIsTriedAgainAfterASecond(t *testing.T) {
	for name, fail := range map[string]func(l *lab, rm *fakeManager){
		"refused":     func(_ *lab, _ *fakeManager) {},
		"unreachable": func(l *lab, _ *fakeManager) { l.install(term(7), nil, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := begin(t, Config{})
				rm := newManager().with(func(m *fakeManager) {
					m.register = func(context.Context, gateway.WorkerRegistration) (gateway.WorkerReply, error) {
						return gateway.WorkerReply{}, errors.New("not now")
					}
				})
				l.install(term(7), rm, nil)
				fail(l, rm)
				l.resourceManager.lead(term(7))
				<-time.After(2500 * time.Millisecond)
				if tries := len(rm.registrations); name == "refused" && tries != 3 {
					t.Errorf("%d tries within 2.5 s, want 3", tries)
				}
				rm.with(func(m *fakeManager) { m.register = nil })
				l.install(term(7), rm, nil)
				<-time.After(time.Second)
				if err := l.beat(t.Context(), 7); err != nil {
					t.Errorf("not registered a second later: %v", err)
				}
			})
		})
	}
}

func TestRejectedRegistrationEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		rm := newManager().with(func(m *fakeManager) {
			m.register = func(context.Context, gateway.WorkerRegistration) (gateway.WorkerReply, error) {
				return gateway.WorkerReply{}, fmt.Errorf("release too old: %w", gateway.ErrRejected)
			}
		})
		l.install(term(7), rm, nil)
		l.resourceManager.lead(term(7))
		<-l.ended
		if !errors.Is(l.err, gateway.ErrRejected) || !strings.Contains(l.err.Error(), "release too old") {
			t.Errorf("Run returned %v, want the rejection", l.err)
		}
	})
}

func TestLateAnswerToASupersededRegistrationIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		answer := make(chan struct{})
		canceled := false
		old := newManager().with(func(m *fakeManager) {
			m.register = func(ctx context.Context, _ gateway.WorkerRegistration) (gateway.WorkerReply, error) {
				<-answer
				canceled = ctx.Err() != nil
				return gateway.WorkerReply{Drain: true}, nil
			}
		})
		l.install(term(7), old, nil)
		l.resourceManager.lead(term(7))
		synctest.Wait()
		l.elect(8)
		synctest.Wait()
		close(answer)
		synctest.Wait()
		if !canceled {
			t.Error("the superseded registration was not cancelled")
		}
		report, err := l.Heartbeat(t.Context(), gateway.Peer{Term: termOf(term(8))})
		if err != nil || report.Draining {
			t.Errorf("heartbeat of the new manager: draining %v, error %v; want neither", report.Draining, err)
		}
	})
}

func TestWorkerRegistersAgainWhenTheManagerIsGone(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, l *lab){
		"silent": func(*testing.T, *lab) { <-time.After(10*time.Second + 200*time.Millisecond) },
		"disconnected": func(t *testing.T, l *lab) {
			if err := l.Disconnect(t.Context(), gateway.Peer{Term: termOf(term(7))}, "no heartbeat"); err != nil {
				t.Error(err)
			}
			<-time.After(200 * time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := begin(t, Config{})
				rm, _ := l.elect(7)
				l.pass(t, time.Minute, 7)
				if n := len(rm.registrations); n != 1 {
					t.Fatalf("%d registrations while heartbeats came, want 1", n)
				}
				lose(t, l)
				if n := len(rm.registrations); n != 2 {
					t.Errorf("%d registrations, want another one", n)
				}
				if err := l.beat(t.Context(), 7); err != nil {
					t.Errorf("heartbeat after it: %v", err)
				}
			})
		})
	}
}

func TestManagerSaysAfterHowLongItIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		rm := newManager().with(func(m *fakeManager) {
			m.register = func(context.Context, gateway.WorkerRegistration) (gateway.WorkerReply, error) {
				return gateway.WorkerReply{HeartbeatTimeout: 30 * time.Second}, nil
			}
		})
		l.install(term(7), rm, nil)
		l.resourceManager.lead(term(7))
		<-time.After(29 * time.Second)
		if n := len(rm.registrations); n != 1 {
			t.Errorf("%d registrations after 29 s of silence, want 1", n)
		}
		<-time.After(2 * time.Second)
		if n := len(rm.registrations); n != 2 {
			t.Errorf("%d registrations after 31 s of silence, want 2", n)
		}
	})
}

func TestHeartbeatCountsWhileTheAnswerIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		if err := l.beat(t.Context(), 7); !errors.Is(err, gateway.ErrNotRegistered) {
			t.Errorf("heartbeat before the registration got %v, want ErrNotRegistered", err)
		}
		rm := newManager().with(func(m *fakeManager) {
			m.register = func(ctx context.Context, _ gateway.WorkerRegistration) (gateway.WorkerReply, error) {
				return gateway.WorkerReply{}, l.beat(ctx, 7)
			}
		})
		l.install(term(7), rm, nil)
		l.resourceManager.lead(term(7))
		synctest.Wait()
		if err := l.beat(t.Context(), 7); err != nil || len(rm.registrations) != 1 {
			t.Errorf("%d registrations, then a heartbeat got %v; want 1 and nil", len(rm.registrations), err)
		}
	})
}

func TestWorkerWithoutAManagerEndsWithAnError(t *testing.T) {
	for name, c := range map[string]struct {
		lead func(l *lab)
		want string
	}{
		"nobody leads": {func(l *lab) { l.resourceManager.nobody() }, "none is known to lead"},
		"unreachable":  {func(l *lab) { l.resourceManager.lead(term(7)) }, errNobody.Error()},
		"lost later": {func(l *lab) {
			l.elect(7)
			<-time.After(5 * time.Second)
			l.resourceManager.nobody()
		}, "none is known to lead"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := begin(t, Config{})
				c.lead(l)
				synctest.Wait()
				began := time.Now()
				<-l.ended
				if !errors.Is(l.err, ErrUnregistered) || !strings.Contains(l.err.Error(), c.want) {
					t.Errorf("Run returned %v, want ErrUnregistered with %q", l.err, c.want)
				}
				if took := time.Since(began).Round(time.Second); took != 5*time.Minute {
					t.Errorf("Run gave up after %s, want 5m", took)
				}
			})
		})
	}
}

func TestWorkerCanLiveWithoutAManagerForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{UnregisteredLimit: math.MaxInt64})
		l.resourceManager.nobody()
		select {
		case <-l.ended:
			t.Errorf("Run returned %v, want it to go on", l.err)
		case <-time.After(365 * 24 * time.Hour):
		}
	})
}

// ZooKeeper is away: who leads is unknown, and probably still does.
func TestRegistrationOutlivesTheLossOfTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		rm, masters := l.elect(7, "j")
		l.slots(t, 7, "j", 1)
		for _, status := range []retrieval.Status{retrieval.StatusUnknown, retrieval.StatusUnconfirmed, retrieval.StatusKnown} {
			l.resourceManager.set(status, term(7))
			l.dispatcher.set(status, term(7))
			l.pass(t, 10*time.Minute, 7, "j")
		}
		if a, b := len(rm.registrations), len(masters["j"].registrations); a != 1 || b != 1 {
			t.Errorf("%d registrations at the manager and %d at the master, want 1 each", a, b)
		}
	})
}

func TestFreedSlotsAreToldUntilTheManagerKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 5})
		rm, _ := l.elect(7, "j")
		slots := l.slots(t, 7, "j", 5)
		synctest.Wait()
		free := func(some ...gateway.Slot) {
			if err := l.FreeSlots(t.Context(), termOf(term(7)), some); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		let := make(chan struct{})
		failures := 0
		rm.with(func(m *fakeManager) {
			m.freed = func(context.Context, []gateway.Slot) error {
				<-let
				if failures++; failures == 1 {
					return errors.New("lost on the way")
				}
				return nil
			}
		})
		free(slots[0])
		free(slots[1], slots[2], "unknown") // while the first call is under way
		close(let)
		<-time.After(time.Second)
		if got := next(t, rm.vacated, "word of free slots"); !slices.Equal(got, slots[:3]) {
			t.Errorf("told of %v, want %v in one call", got, slots[:3])
		}

		// Two failures in a row: the manager is gone, and the new report says it.
		rm.with(func(m *fakeManager) {
			m.freed = func(context.Context, []gateway.Slot) error { return errors.New("unreachable") }
		})
		free(slots[3])
		<-time.After(time.Second)
		if n := len(rm.registrations); n != 2 {
			t.Fatalf("%d registrations, want 2", n)
		}
		<-rm.registrations
		if got := (<-rm.registrations).Report.Allocated; len(got) != 1 || got[0].Slot != slots[4] {
			t.Errorf("the new report has %v allocated, want only %s", got, slots[4])
		}
		quiet(t, rm.vacated, "word of free slots")
	})
}

func TestCallOfAFormerConnectionTakesNoWorkFromTheNextOne(t *testing.T) {
	for range 10 { // it could, by chance
		synctest.Test(t, func(t *testing.T) {
			l := begin(t, Config{Slots: 3})
			deaf := func(let chan struct{}) func(context.Context, []gateway.Slot) error {
				return func(context.Context, []gateway.Slot) error { <-let; return nil }
			}
			old, _ := l.elect(7, "j")
			slots := l.slots(t, 7, "j", 3)
			synctest.Wait()
			letOld, letNext := make(chan struct{}), make(chan struct{})
			old.with(func(m *fakeManager) { m.freed = deaf(letOld) })
			free := func(epoch leader.Epoch, slot gateway.Slot) {
				if err := l.FreeSlots(t.Context(), termOf(term(epoch)), []gateway.Slot{slot}); err != nil {
					t.Error(err)
				}
				synctest.Wait()
			}
			free(7, slots[0])
			next8, _ := l.elect(8, "j")
			synctest.Wait()
			next8.with(func(m *fakeManager) { m.freed = deaf(letNext) })
			free(8, slots[1])
			free(8, slots[2]) // while both have a call under way
			close(letOld)
			synctest.Wait()
			close(letNext)
			synctest.Wait()
			if n := len(next8.vacated); n != 2 {
				t.Fatalf("the next manager was told of %d slots, want 2", n)
			}
		})
	}
}

func TestEndThatSomebodyWantedIsNoTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		reason error
		want   string
	}{
		"silence":              {rpc.ErrHeartbeatTimeout, "[WARN]"},
		"a farewell":           {fmt.Errorf("%w: it resigned", errFarewell), "[INFO]"},
		"another leader":       {rpc.ErrSuperseded, ""},
		"the worker's own end": {leaving("the worker stopped"), ""},
	} {
		var told strings.Builder
		missed(hclog.New(&hclog.LoggerOptions{Output: &told}), hclog.Warn, "not registered", rpc.Target{}, c.reason)
		if got := told.String(); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s was logged as %q, want %s", name, got, c.want)
		}
	}
}

func TestDeposedLeadersAreNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		rm8, _ := l.elect(8, "j")
		synctest.Wait()
		rm7, masters := l.elect(7, "j") // a view that is behind
		l.slots(t, 8, "j", 1)
		synctest.Wait()
		quiet(t, rm7.registrations, "registration at a deposed manager")
		quiet(t, masters["j"].registrations, "registration at a deposed master")
		if len(rm8.registrations) != 1 || l.beat(t.Context(), 8) != nil {
			t.Error("the registration at the newest manager was given up")
		}
	})
}

func TestCallsOfOtherTermsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		l.elect(8, "j")
		synctest.Wait()
		ctx := t.Context()
		for name, id := range map[string]leader.TermID{
			"an older one": termOf(term(7)), "none": {}, "a stranger's": {SessionID: "other", Epoch: 8},
		} {
			for call, do := range map[string]func() error{
				"RequestSlots": func() error {
					_, err := l.RequestSlots(ctx, gateway.SlotRequest{Term: id, Job: "j", Count: 1})
					return err
				},
				"Deploy":         func() error { _, err := l.Deploy(ctx, id, nil); return err },
				"CancelAttempts": func() error { return l.CancelAttempts(ctx, id, nil) },
				"FreeSlots":      func() error { return l.FreeSlots(ctx, id, nil) },
				"ReleaseJob":     func() error { return l.ReleaseJob(ctx, id, "j") },
				"Drain":          func() error { return l.Drain(ctx, id) },
				"Heartbeat":      func() error { _, err := l.Heartbeat(ctx, gateway.Peer{Term: id}); return err },
			} {
				if err := do(); !errors.Is(err, gateway.ErrFencingToken) {
					t.Errorf("%s with the token of %s got %v, want ErrFencingToken", call, name, err)
				}
			}
		}
	})
}
