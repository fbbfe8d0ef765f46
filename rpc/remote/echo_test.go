package remote

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a gateway with one method.
type echo interface {
	Say(ctx context.Context, text string) (string, error)
}

// echoFunc implements it.
type echoFunc func(ctx context.Context, text string) (string, error)

func (f echoFunc) Say(ctx context.Context, text string) (string, error) { return f(ctx, text) }

const sayMethod = "/coordd.test.Echo/Say"

// echoStub is what would be generated for callers.
type echoStub struct{ cc grpc.ClientConnInterface }

func (s echoStub) Say(ctx context.Context, text string) (string, error) {
	reply := new(wrapperspb.StringValue)
	if err := s.cc.Invoke(ctx, sayMethod, wrapperspb.String(text), reply); err != nil {
		return "", err
	}
	return reply.GetValue(), nil
}

func echoGateway() Gateway[echo] {
	return Gateway[echo]{
		Desc: &grpc.ServiceDesc{
			ServiceName: "coordd.test.Echo", HandlerType: (*echo)(nil),
			Methods: []grpc.MethodDesc{{
				MethodName: "Say",
				Handler: func(impl any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
					in := new(wrapperspb.StringValue)
					if err := read(in); err != nil {
						return nil, err
					}
					said, err := impl.(echo).Say(ctx, in.GetValue()) //nolint:forcetypeassert // as generated code does
					if err != nil {
						return nil, err
					}
					return wrapperspb.String(said), nil
				},
			}},
		},
		Client: func(cc grpc.ClientConnInterface) echo { return echoStub{cc} },
		Server: func(impl echo) any { return impl },
	}
}

// listen returns a listener on loopback.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newService returns a service with the echo gateway; it does not run.
func newService(t *testing.T, cfg Config) *Service {
	t.Helper()
	g := echoGateway()
	cfg.Gateways = append(cfg.Gateways, g.Desc)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve returns a service that runs, and how to stop it. It has a listener unless cfg
// does.
func serve(t *testing.T, cfg Config) (s *Service, stop func() error) {
	t.Helper()
	if cfg.Listener == nil {
		cfg.Listener = listen(t)
	}
	s = newService(t, cfg)
	return s, running(t, s.Run)
}

// running calls run until stop is called, or the test ends.
func running(t *testing.T, run func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	returned := make(chan error, 1)
	go func() { returned <- run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-returned })
	t.Cleanup(func() { _ = stop() })
	return stop
}

// caller returns a service that only calls.
func caller(t *testing.T, cfg Config) *Service {
	t.Helper()
	s := newService(t, cfg)
	running(t, s.Run)
	return s
}

// hostEcho has s host an endpoint that runs, and returns how to stop and remove it.
func hostEcho(t *testing.T, s *Service, cfg rpc.EndpointConfig, impl echoFunc) (e *rpc.Endpoint, end func()) {
	t.Helper()
	e, err := rpc.NewEndpoint(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop := running(t, e.Run)
	for errors.Is(e.Tell(func() {}), rpc.ErrNotStarted) {
		runtime.Gosched()
	}
	leave, err := Host[echo](s, echoGateway(), e, impl)
	if err != nil {
		t.Fatal(err)
	}
	return e, func() { leave(); _ = stop() }
}

// plain answers with what it was told.
func plain(_ context.Context, text string) (string, error) { return text, nil }

// dial connects, and hangs up at the end of the test.
func dial(t *testing.T, s *Service, target rpc.Target) echo {
	t.Helper()
	g, hangUp, err := Connect(t.Context(), s, echoGateway(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hangUp)
	return g
}

// sides calls f with a service that hosts, and one that calls it: another one over
// the network, the same one over the network, and the same one directly.
func sides(t *testing.T, cfg Config, f func(t *testing.T, host, caller *Service)) {
	t.Helper()
	t.Run("another process", func(t *testing.T) {
		host, _ := serve(t, cfg)
		f(t, host, caller(t, cfg))
	})
	t.Run("same process, wire forced", func(t *testing.T) {
		cfg := cfg
		cfg.ForceWire = true
		host, _ := serve(t, cfg)
		f(t, host, host)
	})
	t.Run("same process", func(t *testing.T) {
		host, _ := serve(t, cfg)
		f(t, host, host)
	})
}

// The terms of the tests.
var (
	first  = leader.TermID{SessionID: "3f2c8a52-5f0e-4c53-9d1e-0d3a5a3c9a11", Epoch: 4294967321}
	second = leader.TermID{SessionID: "0d3a5a3c-5f0e-4c53-9d1e-3f2c8a529a11", Epoch: 4294967388}
)
