package embedded_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/txn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	sessionTimeout = 10 * time.Second
	grace          = time.Second
	lease          = sessionTimeout - sessionTimeout/50 - grace
)

func newBackend(t testing.TB, cfg embedded.Config) *embedded.Backend {
	t.Helper()
	b, err := embedded.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// onBoth runs a test with data in memory and with data in a file, a new one for each
// config.
func onBoth(t *testing.T, test func(t *testing.T, config func(testing.TB) embedded.Config)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		test(t, func(testing.TB) embedded.Config { return embedded.Config{} })
	})
	t.Run("file", func(t *testing.T) {
		test(t, func(t testing.TB) embedded.Config {
			t.Helper()
			return embedded.Config{File: filepath.Join(t.TempDir(), "data")}
		})
	})
}

// run starts a participant that is stopped when the test ends.
func run(t testing.TB, p *embedded.Participant) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, embedded.ErrKilled) {
			t.Errorf("Run returned %v, want its context's error", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func started(t testing.TB, b *embedded.Backend, id string) *embedded.Participant {
	t.Helper()
	p := b.Participant(id)
	run(t, p)
	return p
}

func campaign(t testing.TB, p *embedded.Participant) election.Tenure {
	t.Helper()
	tenure, err := p.Election().Campaign(t.Context(), election.Candidate{ID: "a", StopGrace: grace})
	if err != nil {
		t.Fatalf("campaign: %v", err)
	}
	return tenure
}

// contend starts a campaign and returns where its tenure will arrive.
func contend(t testing.TB, p *embedded.Participant, id string) <-chan election.Tenure {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	won := make(chan election.Tenure, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tenure, err := p.Election().Campaign(ctx, election.Candidate{ID: id, StopGrace: grace})
		if err == nil {
			won <- tenure
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return won
}

func create(p *embedded.Participant, g leader.Guard, path string) error {
	return p.Store().Commit(context.Background(), g, txn.Op{Kind: txn.Create, Path: path, Data: []byte(path)})
}

func lost(t testing.TB, tenure election.Tenure) error {
	t.Helper()
	select {
	case <-tenure.Lost():
		return tenure.Err()
	default:
		return nil
	}
}

func waiting[T any](t testing.TB, ch <-chan T, who string) {
	t.Helper()
	select {
	case <-ch:
		t.Fatalf("%s leads, want it to wait", who)
	default:
	}
}

func info(id string, tenure election.Tenure) leader.Info {
	return leader.Info{
		Component: leader.Dispatcher, ID: id, SessionID: leader.SessionID(id),
		Epoch: tenure.Guard().Epoch(), Phase: leader.PhaseReady,
	}
}

// observe returns the first thing that a follower of the dispatcher sees.
func observe(t testing.TB, p *embedded.Participant) (got retrieval.Observation) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := p.Retrieval().Follow(ctx, leader.Dispatcher, func(o retrieval.Observation) {
		got = o
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow ended with %v, want its context's error", err)
	}
	return got
}

// contendWith starts a campaign, whose tenure arrives if it wins one; the channel is
// closed when the campaign has ended.
func contendWith(ctx context.Context, p *embedded.Participant) <-chan election.Tenure {
	won := make(chan election.Tenure, 1)
	go func() {
		defer close(won)
		if tenure, err := p.Election().Campaign(ctx, election.Candidate{ID: "a", StopGrace: grace}); err == nil {
			won <- tenure
		}
	}()
	return won
}
