package taskexecutor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/stoptest"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

func TestStopEndsAttemptsReportsThemAndSaysFarewell(t *testing.T) {
	l := begin(t, Config{Slots: 2})
	rm, masters := l.elect(7, "j")
	m := masters["j"]
	slots := l.slots(t, 7, "j", 2)
	next(t, rm.registrations, "registration")
	next(t, m.registrations, "registration")
	ready := fifo(t)
	d := shell(`echo up > ` + ready + `; exec sleep 600`)
	d.Slot = slots[0]
	l.launch(t, d)
	waitLine(t, ready)
	if err := l.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want its context's error", err)
	}
	if len(m.ends) != 1 {
		t.Fatalf("%d ends were reported when Run had returned, want 1", len(m.ends))
	}
	if end := m.wait(t); end.Outcome != gateway.OutcomeCanceled || end.Reason != "the worker stopped" {
		t.Errorf("the attempt ended as %s (%s), want canceled by the stop", end.Outcome, end.Reason)
	}
	if a, b := <-rm.farewells, <-m.farewells; a != "the worker stopped" || b != a {
		t.Errorf("farewells %q and %q, want that the worker stopped", a, b)
	}
	ctx, id := t.Context(), termOf(term(7))
	for call, do := range map[string]func() error{
		"RequestSlots": func() error { _, err := l.RequestSlots(ctx, gateway.SlotRequest{Term: id}); return err },
		"Deploy":       func() error { _, err := l.Deploy(ctx, id, nil); return err },
		"FreeSlots":    func() error { return l.FreeSlots(ctx, id, nil) },
		"ReleaseJob":   func() error { return l.ReleaseJob(ctx, id, "j") },
		"Heartbeat":    func() error { return l.beat(t.Context(), 7) },
		"ReadLog":      func() error { _, err := l.ReadLog(ctx, gateway.LogRequest{Job: "j", Task: "t"}); return err },
	} {
		if err := do(); !errors.Is(err, gateway.ErrStopped) {
			t.Errorf("%s after the end got %v, want ErrStopped", call, err)
		}
	}
}

func TestStopWaitsForMastersThatAreThereAndNotForEver(t *testing.T) {
	for name, c := range map[string]struct {
		delay time.Duration // of the master's store
		want  time.Duration
		ends  int
	}{
		"soon settled":  {time.Second, time.Second, 1},
		"never settled": {time.Hour, reportWait, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := begin(t, Config{Funcs: functions()})
				_, masters := l.elect(7, "j")
				masters["j"].with(func(m *master) {
					m.settle = func(ctx context.Context, _ []gateway.AttemptEnd) error {
						if !pause(ctx, c.delay) {
							return ctx.Err()
						}
						return nil
					}
				})
				l.launch(t, function("block", theAttempt("j", 0), l.slots(t, 7, "j", 1)[0]))
				synctest.Wait()
				began := time.Now()
				_ = l.stop()
				if took := time.Since(began); took != c.want || len(masters["j"].ends) != c.ends {
					t.Errorf("stopped after %s with %d ends settled, want %s and %d", took, len(masters["j"].ends), c.want, c.ends)
				}
			})
		})
	}
}

func TestStopSaysFarewellToWhoMayHaveAcceptedTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{})
		rm, masters := newManager(), map[job.ID]*master{"j": newMaster()}
		l.install(term(7), rm, masters)
		rm.with(func(m *fakeManager) {
			m.register = func(ctx context.Context, _ gateway.WorkerRegistration) (gateway.WorkerReply, error) {
				<-ctx.Done()
				return gateway.WorkerReply{}, ctx.Err()
			}
		})
		masters["j"].with(func(m *master) {
			m.register = func(ctx context.Context, _ gateway.JobReport) (gateway.JobReply, error) {
				<-ctx.Done()
				return gateway.JobReply{}, nil
			}
		})
		l.resourceManager.lead(term(7))
		l.dispatcher.lead(term(7))
		l.slots(t, 7, "j", 1)
		synctest.Wait()
		_ = l.stop()
		if a, b := len(rm.farewells), len(masters["j"].farewells); a != 1 || b != 1 {
			t.Errorf("%d farewells at the manager and %d at the master, want 1 each", a, b)
		}
	})
}

func TestDrainedWorkerEndsWhenItIsEmpty(t *testing.T) {
	for name, drain := range map[string]func(l *lab, rm *fakeManager) error{
		"by its own process":      func(l *lab, _ *fakeManager) error { l.Retire(); return nil },
		"by the resource manager": func(l *lab, _ *fakeManager) error { return l.Drain(context.Background(), termOf(term(7))) },
		"by an earlier wish": func(l *lab, rm *fakeManager) error {
			rm.with(func(m *fakeManager) {
				m.register = func(context.Context, gateway.WorkerRegistration) (gateway.WorkerReply, error) {
					return gateway.WorkerReply{Drain: true}, nil
				}
			})
			return l.Disconnect(context.Background(), gateway.Peer{Term: termOf(term(7))}, "register again")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				let := make(chan struct{})
				l := begin(t, Config{Slots: 2, Funcs: Funcs{"wait": func(context.Context, TaskContext) error { <-let; return nil }}})
				rm, masters := l.elect(7, "j")
				slots := l.slots(t, 7, "j", 2)
				l.launch(t, function("wait", theAttempt("j", 0), slots[0]))
				synctest.Wait()
				if err := drain(l, rm); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Second)
				if _, err := l.RequestSlots(t.Context(), gateway.SlotRequest{Term: termOf(term(7)), Job: "j", Count: 1}); !errors.Is(err, gateway.ErrStopped) {
					t.Errorf("slot request got %v, want ErrStopped", err)
				}
				refused, err := l.Deploy(t.Context(), termOf(term(7)), []gateway.Deployment{function("wait", theAttempt("j", 1), slots[1])})
				if err != nil || len(refused) != 1 || !errors.Is(refused[0].Err, gateway.ErrNoSlot) {
					t.Errorf("deployment refused %v, error %v; want ErrNoSlot", refused, err)
				}
				l.pass(t, 10*time.Minute, 7, "j")
				close(let)
				<-l.ended
				if l.err != nil {
					t.Errorf("Run returned %v, want nil", l.err)
				}
				if end := masters["j"].wait(t); end.Outcome != gateway.OutcomeFinished {
					t.Errorf("the attempt ended as %s, want finished", end.Outcome)
				}
				if reason := <-rm.farewells; !strings.Contains(reason, "drained") || strings.Contains(reason, "not for good") {
					t.Errorf("the manager heard %q, want that the worker was drained, for good", reason)
				}
			})
		})
	}
}

func TestRunMayBeStoppedAtAnyTime(t *testing.T) {
	subject := stoptest.Subject{Run: func(ctx context.Context) error {
		net, who := newNetwork(), newLeaders()
		net.managers[term(7).SessionID] = newManager()
		who.lead(term(7))
		e, err := New(Config{ID: "w", Slots: 1, Network: net, Dispatcher: who, ResourceManager: who})
		if err != nil {
			return err
		}
		return e.Run(ctx)
	}}
	if err := subject.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCallsBeforeRunAreRefusedAndRunComesOnce(t *testing.T) {
	e, err := New(Config{ID: "w", Slots: 1, Network: newNetwork(), Dispatcher: newLeaders(), ResourceManager: newLeaders()})
	if err != nil {
		t.Fatal(err)
	}
	request := func() error {
		_, err := e.RequestSlots(t.Context(), gateway.SlotRequest{Term: termOf(term(7)), Job: "j", Count: 1})
		return err
	}
	if err := request(); !errors.Is(err, rpc.ErrNotStarted) {
		t.Errorf("slot request got %v, want ErrNotStarted", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want the context's error", err)
	}
	if err := request(); !errors.Is(err, gateway.ErrStopped) {
		t.Errorf("slot request after Run got %v, want ErrStopped", err)
	}
	if err := e.Run(ctx); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("second Run returned %v, want a refusal", err)
	}
}

func TestWorkerThatIsRetiredBeforeItRunsEndsAtOnce(t *testing.T) {
	e, err := New(Config{ID: "w", Slots: 1, Network: newNetwork(), Dispatcher: newLeaders(), ResourceManager: newLeaders()})
	if err != nil {
		t.Fatal(err)
	}
	e.Retire()
	if err := e.Run(t.Context()); err != nil {
		t.Errorf("Run returned %v, want nil", err)
	}
}

// brokenMaster breaks the code of the worker that calls it.
type brokenMaster struct{ network }

func (*brokenMaster) JobMaster(context.Context, leader.Info, job.ID) (gateway.JobMaster, func(), error) {
	panic("broken")
}

func TestPanicEndsRunAndWhatItHasStarted(t *testing.T) {
	canceled := make(chan error, 1)
	net, dispatcher := &brokenMaster{}, newLeaders()
	e, err := New(Config{
		ID: "w", Slots: 1, Network: net, Dispatcher: dispatcher, ResourceManager: newLeaders(), checked: true,
		Funcs: Funcs{"wait": func(ctx context.Context, _ TaskContext) error { <-ctx.Done(); canceled <- ctx.Err(); return nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(t.Context()) }()
	e.awaitStart()
	l := &lab{Executor: e}
	l.launch(t, function("wait", theAttempt("j", 0), l.slots(t, 7, "j", 1)[0]))
	dispatcher.lead(term(7))
	var p *rpc.PanicError
	if err := next(t, ended, "end of Run"); !errors.As(err, &p) || p.Value != "broken" {
		t.Errorf("Run returned %v, want the panic", err)
	}
	if len(canceled) != 1 {
		t.Error("an attempt still runs")
	}
}

func TestNewNamesAllThatIsWrong(t *testing.T) {
	_, err := New(Config{TermGrace: -1, LogFiles: -1, Funcs: Funcs{"f": nil}})
	for _, want := range []string{"ID is empty", "Slots is 0", "Network, Dispatcher", "TermGrace must not", "LogFileSize must not", `function "f" is nil`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New returned %v, want an error with %q", err, want)
		}
	}
}
