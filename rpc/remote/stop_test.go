package remote

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/coordd/coordd/internal/stoptest"
	"github.com/coordd/coordd/rpc"
)

func TestServiceCanBeStoppedAtAnyTime(t *testing.T) {
	if err := (stoptest.Subject{Run: func(ctx context.Context) error {
		return newService(t, Config{Listener: listen(t)}).Run(ctx)
	}}).Check(t.Context()); err != nil {
		t.Error(err)
	}
	only := newService(t, Config{})
	if err := (stoptest.Subject{Run: only.Run}).Check(t.Context()); err != nil {
		t.Errorf("without a listener: %v", err)
	}
	if _, _, err := Connect(t.Context(), only, echoGateway(), rpc.Target{Address: "127.0.0.1:1"}); !errors.Is(err, rpc.ErrStopped) {
		t.Errorf("connecting afterwards: got %v, want ErrStopped", err)
	}
}

func TestServiceThatCannotListenSaysSo(t *testing.T) {
	l := listen(t)
	s := newService(t, Config{Listener: l})
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Run(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run returned %v, want why it cannot serve", err)
	}
}

func TestStopLetsCallsEndWithinTheGrace(t *testing.T) {
	for _, c := range []struct {
		name  string
		grace time.Duration
		cut   bool
	}{{"ends in time", time.Hour, false}, {"does not end", time.Millisecond, true}} {
		t.Run(c.name, func(t *testing.T) {
			host, stop := serve(t, Config{StopGrace: c.grace})
			entered, hold := make(chan struct{}), make(chan struct{})
			hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher"}, func(ctx context.Context, text string) (string, error) {
				close(entered)
				select {
				case <-hold:
				case <-ctx.Done():
				}
				return text, ctx.Err()
			})
			g := dial(t, caller(t, Config{}), rpc.Target{Address: host.Address(), Endpoint: "dispatcher"})
			called := make(chan error)
			go func() { _, err := g.Say(t.Context(), ""); called <- err }()
			<-entered
			stopped := make(chan error)
			go func() { stopped <- stop() }()
			if !c.cut {
				close(hold)
			}
			if err := <-called; c.cut != errors.Is(err, rpc.ErrUnreachable) {
				t.Errorf("the call ended with %v", err)
			}
			if err := <-stopped; !errors.Is(err, context.Canceled) {
				t.Errorf("Run returned %v, want its context's error", err)
			}
		})
	}
}
