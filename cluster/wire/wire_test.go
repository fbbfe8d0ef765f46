package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
	"github.com/coordd/coordd/rpc/remote"
	"github.com/coordd/coordd/txn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hosted are gateways of all types, whose other side is the recorder.
type hosted struct {
	*recorder
	worker     gateway.TaskExecutor
	master     gateway.JobMaster
	manager    gateway.ResourceManager
	dispatcher gateway.Dispatcher
	recovery   gateway.Recovery
}

// both calls f with gateways that go over the wire, and with local ones.
func both(t *testing.T, f func(t *testing.T, h *hosted)) {
	t.Helper()
	for name, wired := range map[string]bool{"wire": true, "local": false} {
		t.Run(name, func(t *testing.T) { f(t, host(t, wired)) })
	}
}

func host(t *testing.T, wired bool) *hosted {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := remote.New(remote.Config{Listener: listener, Gateways: Gateways(), Errors: Errors(), ForceWire: wired})
	if err != nil {
		t.Fatal(err)
	}
	e, err := rpc.NewEndpoint(rpc.EndpointConfig{Name: "all", Term: aTerm()})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []func(context.Context) error{s.Run, e.Run} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = run(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
	}
	for errors.Is(e.Tell(func() {}), rpc.ErrNotStarted) {
		runtime.Gosched()
	}
	h := &hosted{recorder: &recorder{}}
	h.worker = connected[gateway.TaskExecutor](t, s, e, TaskExecutor(), worker{h.recorder})
	h.master = connected[gateway.JobMaster](t, s, e, JobMaster(), master{h.recorder})
	h.manager = connected[gateway.ResourceManager](t, s, e, ResourceManager(), manager{h.recorder})
	h.dispatcher = connected[gateway.Dispatcher](t, s, e, Dispatcher(), dispatcher{h.recorder})
	h.recovery = connected[gateway.Recovery](t, s, e, Recovery(), dispatcher{h.recorder})
	return h
}

func connected[G any](t *testing.T, s *remote.Service, e *rpc.Endpoint, g remote.Gateway[G], impl G) G {
	t.Helper()
	if _, err := remote.Host(s, g, e, impl); err != nil {
		t.Fatal(err)
	}
	gw, hangUp, err := remote.Connect(t.Context(), s, g, rpc.Target{Address: s.Address(), Endpoint: "all", Term: aTerm()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hangUp)
	return gw
}

// call is one method with arguments: what the other side is to see of it and to
// answer, and the call itself, which returns the answer.
type call struct {
	method  string
	args    []any
	results []any
	do      func(ctx context.Context, h *hosted) ([]any, error)
}

// none and one are what calls return.
func none(err error) ([]any, error)                { return nil, err }
func one[T any](value T, err error) ([]any, error) { return []any{value}, err }

func workerCalls() []call {
	attempts := []gateway.AttemptID{anAttempt()}
	return []call{
		{"RequestSlots", []any{aSlotRequest()}, []any{slots()}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.worker.RequestSlots(ctx, aSlotRequest()))
		}},
		{"Deploy", []any{aTerm(), []gateway.Deployment{aDeployment()}}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			_, err := h.worker.Deploy(ctx, aTerm(), []gateway.Deployment{aDeployment()})
			return none(err) // refusals have a test of their own
		}},
		{"CancelAttempts", []any{aTerm(), attempts}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.worker.CancelAttempts(ctx, aTerm(), attempts))
		}},
		{"FreeSlots", []any{aTerm(), slots()}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.worker.FreeSlots(ctx, aTerm(), slots()))
		}},
		{"ReleaseJob", []any{aTerm(), job.ID("etl-1")}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.worker.ReleaseJob(ctx, aTerm(), "etl-1"))
		}},
		{"Drain", []any{aTerm()}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.worker.Drain(ctx, aTerm()))
		}},
		{"Heartbeat", []any{aPeer()}, []any{aReport()}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.worker.Heartbeat(ctx, aPeer()))
		}},
		{"Disconnect", []any{aPeer(), "gone"}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.worker.Disconnect(ctx, aPeer(), "gone"))
		}},
		{"ReadLog", []any{aLogRequest()}, []any{aChunk()}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.worker.ReadLog(ctx, aLogRequest()))
		}},
		{"Metrics", nil, []any{metrics()}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.worker.Metrics(ctx))
		}},
	}
}

func masterCalls() []call {
	ends := []gateway.AttemptEnd{anEnd()}
	return []call{
		{"RegisterWorker", []any{aWorker(), aJobReport()}, []any{aJobReply()}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.master.RegisterWorker(ctx, aWorker(), aJobReport()))
		}},
		{"OfferSlots", []any{aWorker(), slots()}, []any{slots()[:1]}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.master.OfferSlots(ctx, aWorker(), slots()))
		}},
		{"AttemptsEnded", []any{aWorker(), ends}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.master.AttemptsEnded(ctx, aWorker(), ends))
		}},
		{"DisconnectWorker", []any{aWorker(), "gone"}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.master.DisconnectWorker(ctx, aWorker(), "gone"))
		}},
		{"Heartbeat", []any{aPeer()}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.master.Heartbeat(ctx, aPeer()))
		}},
		{"DisconnectResourceManager", []any{"gone"}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.master.DisconnectResourceManager(ctx, "gone"))
		}},
		{"GiveBack", []any{aNeed()}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.master.GiveBack(ctx, aNeed()))
		}},
		{"Metrics", nil, []any{metrics()}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.master.Metrics(ctx))
		}},
	}
}

func managerCalls() []call {
	needs := []gateway.Need{aNeed()}
	return []call{
		{"RegisterWorker", []any{aWorkerRegistration()}, []any{aWorkerReply()}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.manager.RegisterWorker(ctx, aWorkerRegistration()))
		}},
		{"DisconnectWorker", []any{aWorker(), "gone", true}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.manager.DisconnectWorker(ctx, aWorker(), "gone", true))
		}},
		{"SlotsFreed", []any{aWorker(), slots()}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.manager.SlotsFreed(ctx, aWorker(), slots()))
		}},
		{"RegisterJobMaster", []any{aMasterRegistration()}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.manager.RegisterJobMaster(ctx, aMasterRegistration()))
		}},
		{"DisconnectJobMaster", []any{aTerm(), job.ID("etl-1"), "gone"}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.manager.DisconnectJobMaster(ctx, aTerm(), "etl-1", "gone"))
		}},
		{"DeclareNeeds", []any{aTerm(), job.ID("etl-1"), needs}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.manager.DeclareNeeds(ctx, aTerm(), "etl-1", needs))
		}},
		{"Holders", []any{job.ID("etl-1")}, []any{[]gateway.Worker{aWorker()}}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.manager.Holders(ctx, "etl-1"))
		}},
		{"Workers", nil, []any{[]gateway.WorkerStatus{aStatus()}}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.manager.Workers(ctx))
		}},
		{"Drain", []any{"w1"}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.manager.Drain(ctx, "w1"))
		}},
		{"ReleaseJob", []any{job.ID("etl-1")}, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.manager.ReleaseJob(ctx, "etl-1"))
		}},
	}
}

func dispatcherCalls() []call {
	id := []any{job.ID("etl-1")}
	sub := gateway.Submission{ID: "etl-1", Graph: aGraph()}
	return []call{
		{"Submit", []any{sub}, []any{aSnapshot(), true}, func(ctx context.Context, h *hosted) ([]any, error) {
			snap, created, err := h.dispatcher.Submit(ctx, sub)
			return []any{snap, created}, err
		}},
		{"Jobs", nil, []any{[]job.Snapshot{aSnapshot()}}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.dispatcher.Jobs(ctx))
		}},
		{"Job", id, []any{aSnapshot()}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.dispatcher.Job(ctx, "etl-1"))
		}},
		{"Cancel", id, []any{aSnapshot()}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.dispatcher.Cancel(ctx, "etl-1"))
		}},
		{"Recovery", nil, []any{aRecoveryReport()}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.recovery.Recovery(ctx))
		}},
		{"RetryQuarantined", id, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.recovery.RetryQuarantined(ctx, "etl-1"))
		}},
		{"DropQuarantined", id, nil, func(ctx context.Context, h *hosted) ([]any, error) {
			return none(h.recovery.DropQuarantined(ctx, "etl-1"))
		}},
		{"Leftovers", []any{true}, []any{[]gateway.Leftover{aLeftover()}}, func(ctx context.Context, h *hosted) ([]any, error) {
			return one(h.recovery.Leftovers(ctx, true))
		}},
	}
}

func allCalls() map[string][]call {
	return map[string][]call{
		"TaskExecutor": workerCalls(), "JobMaster": masterCalls(), "ResourceManager": managerCalls(), "Dispatcher and Recovery": dispatcherCalls(),
	}
}

func TestEveryMethodArrivesAndIsAnswered(t *testing.T) {
	both(t, func(t *testing.T, h *hosted) {
		for kind, calls := range allCalls() {
			for _, c := range calls {
				h.results = c.results
				got, err := c.do(t.Context(), h)
				if err != nil {
					t.Errorf("%s.%s: %v", kind, c.method, err)
				}
				if h.method != c.method || !equal(h.args, c.args) {
					t.Errorf("%s.%s: the other side saw %s with\n%+v, want\n%+v", kind, c.method, h.method, h.args, c.args)
				}
				if !equal(got, c.results) {
					t.Errorf("%s.%s returned\n%+v, want\n%+v", kind, c.method, got, c.results)
				}
			}
		}
	})
}

func equal(a, b []any) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

func TestEveryMethodIsTried(t *testing.T) {
	tried := 0
	for _, calls := range allCalls() {
		tried += len(calls)
	}
	methods := 0
	for _, typ := range []reflect.Type{
		reflect.TypeFor[gateway.TaskExecutor](), reflect.TypeFor[gateway.JobMaster](), reflect.TypeFor[gateway.ResourceManager](),
		reflect.TypeFor[gateway.Dispatcher](), reflect.TypeFor[gateway.Recovery](),
	} {
		methods += typ.NumMethod()
	}
	if tried != methods {
		t.Errorf("tried %d calls, the gateways have %d methods", tried, methods)
	}
}

// sentinels are all errors that callers of gateways decide upon.
func sentinels() []error {
	return []error{
		gateway.ErrNoJob, gateway.ErrConflict, gateway.ErrTooLarge, gateway.ErrNotLeader, gateway.ErrFencingToken,
		gateway.ErrNotQuarantined, gateway.ErrBusy, gateway.ErrNoWorker, gateway.ErrNotLeaderYet, gateway.ErrRejected,
		gateway.ErrNoSlot, gateway.ErrStopped, gateway.ErrNoLog, gateway.ErrNotRegistered,
		leader.ErrFenced, txn.ErrUnknownOutcome, txn.ErrFull, context.DeadlineExceeded,
	}
}

func TestEveryErrorOfEveryMethodIsTheSameOnTheOtherSide(t *testing.T) {
	both(t, func(t *testing.T, h *hosted) {
		for kind, calls := range allCalls() {
			for _, c := range calls {
				for _, want := range sentinels() {
					h.err = fmt.Errorf("do %s of etl-1: %w", c.method, want)
					_, err := c.do(t.Context(), h)
					for _, other := range sentinels() {
						if errors.Is(err, other) != errors.Is(want, other) {
							t.Errorf("%s.%s failed with %q and returned %v: is %q: %v", kind, c.method, want, err, other, errors.Is(err, other))
						}
					}
					if !strings.Contains(err.Error(), h.err.Error()) {
						t.Errorf("%s.%s returned %q, want it to contain %q", kind, c.method, err, h.err)
					}
				}
			}
		}
	})
}

func TestInvalidJobKeepsItsProblems(t *testing.T) {
	both(t, func(t *testing.T, h *hosted) {
		h.err = fmt.Errorf("submit: %w", anInvalid())
		_, _, err := h.dispatcher.Submit(t.Context(), gateway.Submission{Graph: aGraph()})
		if got, ok := errors.AsType[*job.InvalidError](err); !ok || !reflect.DeepEqual(got, anInvalid()) {
			t.Errorf("got %#v, want %#v", err, anInvalid())
		}
	})
}

func TestRefusalsKeepTheirErrors(t *testing.T) {
	both(t, func(t *testing.T, h *hosted) {
		for _, want := range []error{gateway.ErrNoSlot, gateway.ErrStopped, gateway.ErrFencingToken, errors.New("disk is full")} {
			h.results = []any{[]gateway.Refusal{{Attempt: anAttempt(), Err: fmt.Errorf("deploy: %w", want)}}}
			got, err := h.worker.Deploy(t.Context(), aTerm(), []gateway.Deployment{aDeployment()})
			if err != nil || len(got) != 1 || got[0].Attempt != anAttempt() || got[0].Err.Error() != "deploy: "+want.Error() {
				t.Fatalf("got %+v, %v, want one refusal with %q", got, err, want)
			}
			for _, kind := range []error{gateway.ErrNoSlot, gateway.ErrStopped, gateway.ErrFencingToken} {
				if errors.Is(got[0].Err, kind) != errors.Is(want, kind) {
					t.Errorf("%v is %v: %v", got[0].Err, kind, !errors.Is(want, kind))
				}
			}
		}
	})
}

func TestResultAndExitCodeAreAbsentOrEmpty(t *testing.T) {
	both(t, func(t *testing.T, h *hosted) {
		zero := 0
		for _, end := range []gateway.AttemptEnd{
			{Attempt: anAttempt()}, {Attempt: anAttempt(), ExitCode: &zero, Result: []byte{}},
		} {
			if err := h.master.AttemptsEnded(t.Context(), aWorker(), []gateway.AttemptEnd{end}); err != nil {
				t.Fatal(err)
			}
			if want := []any{aWorker(), []gateway.AttemptEnd{end}}; !reflect.DeepEqual(h.args, want) {
				t.Errorf("the other side saw %#v, want %#v", h.args, want)
			}
		}
	})
}

func TestTextThatIsNotUTF8IsMended(t *testing.T) {
	both(t, func(t *testing.T, h *hosted) {
		if err := h.worker.Disconnect(t.Context(), aPeer(), "bad \xff"); err != nil {
			t.Fatal(err)
		}
		if got := h.args[1]; got != "bad \uFFFD" {
			t.Errorf("the other side saw %q", got)
		}
	})
}
