package client

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// board is a Retrieval that a test writes.
type board struct {
	mu      sync.Mutex
	state   retrieval.State
	changed chan struct{}
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

func (b *board) State() (retrieval.State, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.changed
}

func (b *board) say(status retrieval.Status, address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = retrieval.State{Status: status, Info: leader.Info{Address: address}}
	close(b.changed)
	b.changed = make(chan struct{})
}

func TestTheRetrievedLeaderIsAskedFirst(t *testing.T) {
	other, leading := newNode(t, says(200, running)), newNode(t, says(200, finished))
	b := newBoard()
	b.say(retrieval.StatusKnown, leading.url)
	c := newClient(t, Config{Retrieval: b, Addresses: []string{other.url}})
	for _, status := range []retrieval.Status{retrieval.StatusKnown, retrieval.StatusUnknown, retrieval.StatusUnconfirmed} {
		b.say(status, leading.url) // while the backend is away, it probably leads on
		if snap, err := c.Job(t.Context(), "etl"); err != nil || snap.Status != job.StatusFinished {
			t.Errorf("with a leader that is %v: %+v, %v; want its answer", status, snap, err)
		}
	}
	if got := len(other.questions()); got != 0 {
		t.Errorf("the other node was asked %d times, want never", got)
	}
	b.say(retrieval.StatusKnown, gone(t))
	if snap, err := c.Job(t.Context(), "etl"); err != nil || snap.Status != job.StatusRunning {
		t.Errorf("with a leader that does not answer: %+v, %v; want the other's answer", snap, err)
	}
}

func TestANewLeaderIsAskedAsSoonAsItIsKnown(t *testing.T) {
	leading := newNode(t, says(200, finished))
	b := newBoard()
	var reasons []error
	c := newClient(t, Config{Retrieval: b, OnRetry: func(err error) {
		reasons = append(reasons, err)
		b.say(retrieval.StatusKnown, leading.url)
	}})
	began := time.Now()
	snap, err := c.Job(t.Context(), "etl")
	if err != nil || snap.Status != job.StatusFinished {
		t.Fatalf("Job is %+v, %v", snap, err)
	}
	if len(reasons) != 1 || !errors.Is(reasons[0], ErrNoLeader) {
		t.Errorf("reasons to wait are %v, want one ErrNoLeader", reasons)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("answered after %s", took)
	}
}

func TestWithoutALeaderThatIsKnownNobodyIsAsked(t *testing.T) {
	for _, address := range []string{"", "nonsense://x"} {
		b := newBoard()
		b.say(retrieval.StatusKnown, address)
		c := newClient(t, Config{Retrieval: b, Patience: -1})
		if _, err := c.Job(t.Context(), "etl"); !errors.Is(err, ErrNoLeader) {
			t.Errorf("with the address %q: %v, want ErrNoLeader", address, err)
		}
	}
}

func TestWaitingForALeaderEndsWithItsContext(t *testing.T) {
	c := newClient(t, Config{Retrieval: newBoard()})
	ctx, cancel := context.WithCancel(t.Context())
	c.cfg.OnRetry = func(error) { cancel() }
	if _, err := c.Job(ctx, "etl"); !errors.Is(err, context.Canceled) {
		t.Errorf("Job is %v, want context.Canceled", err)
	}
}

func TestFollowYieldsWhatChangesAndTheEnd(t *testing.T) {
	n := newNode(t, nil)
	answers := []http.HandlerFunc{
		says(200, `{"id":"etl","status":"CREATED","epoch":7}`),
		says(200, `{"id":"etl","status":"CREATED","epoch":7}`),
		says(200, `{"id":"etl","status":"RUNNING","epoch":7}`),
		says(503, noLeader),
		says(503, `{"code":"timeout","detail":"the leader did not answer in time"}`),
		says(200, `{"id":"etl","status":"RUNNING","epoch":9}`),
		says(200, `{"id":"etl","status":"FAILING","epoch":7}`), // the deposed leader
		says(200, `{"id":"etl","status":"FINISHED","epoch":9}`),
	}
	n.set(func(w http.ResponseWriter, r *http.Request) {
		answers[0](w, r)
		answers = answers[min(1, len(answers)-1):]
	})
	c := newClient(t, Config{Addresses: []string{n.url}, Patience: -1})
	var seen []string
	for snap, err := range c.Follow(t.Context(), "etl") {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, string(snap.Status)+"/"+leader.Epoch(snap.Epoch).String())
	}
	want := []string{"CREATED/7", "RUNNING/7", "RUNNING/9", "FINISHED/9"}
	if len(seen) != len(want) {
		t.Fatalf("saw %v, want %v", seen, want)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Errorf("saw %v, want %v", seen, want)
		}
	}
}

func TestFollowEndsWithAnErrorOrWhenItIsLeft(t *testing.T) {
	n := newNode(t, says(404, `{"code":"no_such_job","detail":"no job has the id \"etl\""}`))
	c := newClient(t, Config{Addresses: []string{n.url}})
	yielded := 0
	for _, err := range c.Follow(t.Context(), "etl") {
		yielded++
		if !errors.Is(err, ErrNoJob) {
			t.Errorf("Follow yielded %v, want ErrNoJob", err)
		}
	}
	n.set(says(200, running))
	for _, err := range c.Follow(t.Context(), "etl") {
		if err != nil {
			t.Error(err)
		}
		yielded++
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range c.Follow(ctx, "etl") {
		yielded++
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Follow yielded %v, want context.Canceled", err)
		}
		cancel()
	}
	if yielded != 4 {
		t.Errorf("yielded %d times, want an error, one snapshot, and a snapshot and an error", yielded)
	}
}
