package retrieval

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/leader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a driver that reports what the test tells it to.
type script struct {
	says chan Observation
	ends chan error
}

var _ Driver = (*script)(nil)

func newScript() *script {
	return &script{says: make(chan Observation), ends: make(chan error)}
}

func (d *script) Follow(ctx context.Context, _ string, observe func(Observation)) error {
	for {
		select {
		case o := <-d.says:
			observe(o)
		case err := <-d.ends:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lab is a Retriever over a script, in virtual time.
type lab struct {
	*script
	r     *Retriever
	stop  context.CancelFunc
	ended chan error
}

func follow(t *testing.T) *lab {
	t.Helper()
	d := newScript()
	r, err := New(Config{Driver: d, Component: leader.Dispatcher})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	l := &lab{script: d, r: r, stop: stop, ended: make(chan error, 1)}
	go func() { l.ended <- r.Run(ctx) }()
	synctest.Wait()
	return l
}

// say has the driver report, and returns when everybody has heard.
func (l *lab) say(o Observation) State {
	l.says <- o
	synctest.Wait()
	return l.r.Current()
}

// close ends Run, which must return its context's error.
func (l *lab) close(t *testing.T) {
	t.Helper()
	l.stop()
	if err := <-l.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want the context's error", err)
	}
}

func info(epoch leader.Epoch, session, address string) leader.Info {
	return leader.Info{
		Component: leader.Dispatcher, ID: "a", Address: address,
		SessionID: leader.SessionID(session), Epoch: epoch, Phase: leader.PhaseReady,
	}
}

func known(i leader.Info, index int64) Observation {
	return Observation{Status: StatusKnown, Info: i, Index: index}
}

func none(index int64) Observation { return Observation{Status: StatusNone, Index: index} }

// reached: the backend can be asked, and has not answered.
var reached = Observation{Status: StatusUnconfirmed}
