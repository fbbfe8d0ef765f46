package taskexecutor

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

func TestMain(m *testing.M) {
	if os.Getenv(hostVariable) != "" {
		hostMain()
		return
	}
	goleak.VerifyTestMain(m)
}

// patience bounds what must happen soon; only a failing test waits for it.
const patience = 20 * time.Second

// masterOf collects the reports of attempts.
type masterOf chan gateway.AttemptEnd

func newMaster() masterOf { return make(masterOf, 64) }

func (m masterOf) AttemptEnded(end gateway.AttemptEnd) { m <- end }

func (m masterOf) wait(t *testing.T) gateway.AttemptEnd {
	t.Helper()
	select {
	case end := <-m:
		return end
	case <-time.After(patience):
		t.Fatal("no attempt ended")
		return gateway.AttemptEnd{}
	}
}

// start runs an executor until the test ends, and returns what stops it earlier.
func start(t *testing.T, cfg Config) (*Executor, func()) {
	t.Helper()
	if cfg.ID == "" {
		cfg.ID = "w1"
	}
	if cfg.Slots == 0 {
		cfg.Slots = 1
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := e.Run(ctx); err != context.Canceled { //nolint:errorlint // it must be ctx's own
			t.Errorf("Run returned %v, want %v", err, context.Canceled)
		}
	}()
	stop := func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return e, stop
}

func slotFor(t *testing.T, e *Executor, id job.ID) gateway.Slot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	slot, err := e.RequestSlot(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

// shell is the deployment of a script as the first attempt of a job.
func shell(script string) gateway.Deployment {
	return gateway.Deployment{
		Attempt: gateway.AttemptID{Job: "j", Task: "t", Subtask: 0, Epoch: 7, N: 1},
		Command: []string{"sh", "-c", script},
	}
}

// deploy runs d in a slot of its own.
func deploy(t *testing.T, e *Executor, d gateway.Deployment) masterOf {
	t.Helper()
	m := newMaster()
	if err := e.Deploy(t.Context(), slotFor(t, e, d.Attempt.Job), d, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// hostVariable makes the test binary a process that hosts an executor, see
// hostMain. Its value is the named pipe by which the command shows that it lives.
const hostVariable = "COORDD_TEST_HOST"

func within(t *testing.T, done <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
}

// waitLine returns what a command writes to a named pipe: so it tells the test
// that it has come so far.
func waitLine(t *testing.T, path string) string {
	t.Helper()
	var data []byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if data, err = os.ReadFile(path); err != nil {
			t.Error(err)
		}
	}()
	within(t, done, "nothing was written to "+path)
	return string(data)
}

// hostMain runs an executor with one attempt until it is killed.
func hostMain() {
	e, err := New(Config{ID: "host", Slots: 1})
	if err != nil {
		panic(err)
	}
	go func() {
		slot, err := e.RequestSlot(context.Background(), "j")
		if err != nil {
			panic(err)
		}
		// The pipe stays open for writing for as long as the command lives.
		d := shell("exec 3> " + os.Getenv(hostVariable) + "; echo up >&3; exec sleep 600")
		if err := e.Deploy(context.Background(), slot, d, newMaster()); err != nil {
			panic(err)
		}
	}()
	_ = e.Run(context.Background())
}
