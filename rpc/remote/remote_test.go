package remote

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

func TestCallReachesTheEndpoint(t *testing.T) {
	sides(t, Config{}, func(t *testing.T, host, caller *Service) {
		state := ""
		var e *rpc.Endpoint
		e, _ = hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher", Term: first, Checked: true},
			func(ctx context.Context, text string) (string, error) {
				return rpc.Ask(ctx, e, func() (string, error) { e.Check(); state += text; return state, nil })
			})
		g := dial(t, caller, rpc.Target{Address: host.Address(), Endpoint: "dispatcher", Term: first})
		for _, want := range []string{"a", "aa"} {
			if got, err := g.Say(t.Context(), "a"); got != want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
	})
}

func TestOnlyCallsOfTheTermAreServed(t *testing.T) {
	sides(t, Config{}, func(t *testing.T, host, caller *Service) {
		hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher", Term: second}, plain)
		hostEcho(t, host, rpc.EndpointConfig{Name: "worker/w1"}, plain)
		for _, c := range []struct {
			name, endpoint string
			token          leader.TermID
		}{
			{"an older one", "dispatcher", first},
			{"none", "dispatcher", leader.TermID{}},
			{"same epoch, other session", "dispatcher", leader.TermID{SessionID: first.SessionID, Epoch: second.Epoch}},
			{"one, and it is not fenced", "worker/w1", second},
		} {
			_, _, err := Connect(t.Context(), caller, echoGateway(), rpc.Target{Address: host.Address(), Endpoint: c.endpoint, Term: c.token})
			if !errors.Is(err, rpc.ErrFencingToken) {
				t.Errorf("%s: got %v, want ErrFencingToken", c.name, err)
			}
		}
		dial(t, caller, rpc.Target{Address: host.Address(), Endpoint: "worker/w1"})
	})
}

func TestGatewayOfATermFailsOnceAnotherIsServedAtTheAddress(t *testing.T) {
	sides(t, Config{}, func(t *testing.T, host, caller *Service) {
		_, end := hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher", Term: first}, plain)
		g := dial(t, caller, rpc.Target{Address: host.Address(), Endpoint: "dispatcher", Term: first})
		end()
		if _, err := g.Say(t.Context(), ""); !errors.Is(err, rpc.ErrNoEndpoint) {
			t.Errorf("between the terms: got %v, want ErrNoEndpoint", err)
		}
		hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher", Term: second}, plain)
		if _, err := g.Say(t.Context(), ""); !errors.Is(err, rpc.ErrFencingToken) {
			t.Errorf("in the second term: got %v, want ErrFencingToken", err)
		}
		dial(t, caller, rpc.Target{Address: host.Address(), Endpoint: "dispatcher", Term: second})
	})
}

func TestHandshakeSaysWhatIsNotThere(t *testing.T) {
	sides(t, Config{}, func(t *testing.T, host, caller *Service) {
		e, err := rpc.NewEndpoint(rpc.EndpointConfig{Name: "late"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Host[echo](host, echoGateway(), e, echoFunc(plain)); err != nil {
			t.Fatal(err)
		}
		connect := func(endpoint string, want error) {
			t.Helper()
			_, _, err := Connect(t.Context(), caller, echoGateway(), rpc.Target{Address: host.Address(), Endpoint: endpoint})
			if !errors.Is(err, want) || !strings.Contains(err.Error(), endpoint) {
				t.Errorf("got %v, want %v, and the endpoint's name", err, want)
			}
		}
		connect("nobody", rpc.ErrNoEndpoint)
		connect("late", rpc.ErrNotStarted)
		stop := running(t, e.Run)
		_ = stop()
		connect("late", rpc.ErrStopped)
	})
}

func TestOtherVersionIsRefusedByTheHandshake(t *testing.T) {
	host, _ := serve(t, Config{})
	hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher"}, plain)
	newer := caller(t, Config{protocol: Protocol + 1})
	_, _, err := Connect(t.Context(), newer, echoGateway(), rpc.Target{Address: host.Address(), Endpoint: "dispatcher"})
	if !errors.Is(err, rpc.ErrProtocol) || !strings.Contains(err.Error(), `version "2" called, version 1 answers`) {
		t.Errorf("got %v, want ErrProtocol with both versions", err)
	}
}

func TestDeadlineAndCancelReachBothSides(t *testing.T) {
	sides(t, Config{}, func(t *testing.T, host, caller *Service) {
		entered, left := make(chan struct{}, 1), make(chan error, 1)
		hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher"}, func(ctx context.Context, _ string) (string, error) {
			entered <- struct{}{}
			<-ctx.Done()
			left <- ctx.Err()
			return "", ctx.Err()
		})
		g := dial(t, caller, rpc.Target{Address: host.Address(), Endpoint: "dispatcher"})
		short, cancel := context.WithTimeout(t.Context(), time.Second) // enough to get there
		defer cancel()
		if _, err := g.Say(short, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		<-entered
		<-left
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-entered; cancel() }()
		if _, err := g.Say(ctx, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want Canceled", err)
		}
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the implementation saw %v, want Canceled", err)
		}
	})
}

func TestPanicOfAnImplementationEndsItsEndpointOnly(t *testing.T) {
	sides(t, Config{}, func(t *testing.T, host, caller *Service) {
		e, err := rpc.NewEndpoint(rpc.EndpointConfig{Name: "dispatcher"})
		if err != nil {
			t.Fatal(err)
		}
		returned := make(chan error, 1)
		go func() { returned <- e.Run(t.Context()) }()
		if _, err := Host[echo](host, echoGateway(), e, echoFunc(func(context.Context, string) (string, error) { panic("ouch") })); err != nil {
			t.Fatal(err)
		}
		hostEcho(t, host, rpc.EndpointConfig{Name: "worker/w1"}, plain)
		var g echo
		for {
			var hangUp func()
			if g, hangUp, err = Connect(t.Context(), caller, echoGateway(), rpc.Target{Address: host.Address(), Endpoint: "dispatcher"}); err == nil {
				defer hangUp()
				break
			}
			if !errors.Is(err, rpc.ErrNotStarted) {
				t.Fatal(err)
			}
		}
		if _, err := g.Say(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "endpoint dispatcher panicked: ouch") {
			t.Errorf("the caller got %v, want the panic", err)
		}
		if p, ok := errors.AsType[*rpc.PanicError](<-returned); !ok || p.Value != "ouch" {
			t.Errorf("Run returned %v, want the panic", p)
		}
		if _, err := g.Say(t.Context(), ""); !errors.Is(err, rpc.ErrStopped) {
			t.Errorf("afterwards the caller got %v, want ErrStopped", err)
		}
		other := dial(t, caller, rpc.Target{Address: host.Address(), Endpoint: "worker/w1"})
		if _, err := other.Say(t.Context(), ""); err != nil {
			t.Errorf("the other endpoint: %v", err)
		}
	})
}

func TestConnectionToAnAddressIsSharedUntilTheLastHangsUp(t *testing.T) {
	host, _ := serve(t, Config{})
	hostEcho(t, host, rpc.EndpointConfig{Name: "worker/w1"}, plain)
	hostEcho(t, host, rpc.EndpointConfig{Name: "worker/w2"}, plain)
	var dialled, closed atomic.Int32
	c := caller(t, Config{Dial: func(ctx context.Context, address string) (net.Conn, error) {
		dialled.Add(1)
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		return &countedConn{Conn: conn, closed: &closed}, err
	}})
	var hangUps []func()
	var gateways []echo
	for _, name := range []string{"worker/w1", "worker/w2", "worker/w1"} {
		g, hangUp, err := Connect(t.Context(), c, echoGateway(), rpc.Target{Address: host.Address(), Endpoint: name})
		if err != nil {
			t.Fatal(err)
		}
		hangUps, gateways = append(hangUps, hangUp), append(gateways, g)
	}
	hangUps[0]()
	hangUps[0]()
	if _, err := gateways[0].Say(t.Context(), ""); !errors.Is(err, rpc.ErrUnreachable) {
		t.Errorf("after hanging up: got %v, want ErrUnreachable", err)
	}
	hangUps[1]()
	if _, err := gateways[2].Say(t.Context(), ""); err != nil || dialled.Load() != 1 || closed.Load() != 0 {
		t.Errorf("the last one: %v; dialled %d, closed %d, want 1 and 0", err, dialled.Load(), closed.Load())
	}
	hangUps[2]()
	if closed.Load() != 1 {
		t.Errorf("closed %d connections after the last hung up, want 1", closed.Load())
	}
}

// countedConn counts once that it is closed.
type countedConn struct {
	net.Conn
	once   sync.Once
	closed *atomic.Int32
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.closed.Add(1) })
	return c.Conn.Close()
}

func TestSlowMethodHoldsUpNoOther(t *testing.T) {
	sides(t, Config{}, func(t *testing.T, host, caller *Service) {
		hold, held := make(chan struct{}), make(chan struct{})
		hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher"}, func(_ context.Context, text string) (string, error) {
			if text == "slow" {
				close(held)
				<-hold
			}
			return text, nil
		})
		g := dial(t, caller, rpc.Target{Address: host.Address(), Endpoint: "dispatcher"})
		slow := make(chan error)
		go func() { _, err := g.Say(t.Context(), "slow"); slow <- err }()
		<-held
		if _, err := g.Say(t.Context(), "quick"); err != nil {
			t.Errorf("quick: %v", err)
		}
		close(hold)
		if err := <-slow; err != nil {
			t.Errorf("slow: %v", err)
		}
	})
}

func TestPlaceIsTakenUntilItIsLeft(t *testing.T) {
	s := newService(t, Config{})
	_, end := hostEcho(t, s, rpc.EndpointConfig{Name: "dispatcher", Term: first}, plain)
	e, err := rpc.NewEndpoint(rpc.EndpointConfig{Name: "dispatcher", Term: second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Host[echo](s, echoGateway(), e, echoFunc(plain)); err == nil {
		t.Error("a second endpoint of the name was hosted")
	}
	end()
	leave, err := Host[echo](s, echoGateway(), e, echoFunc(plain))
	if err != nil {
		t.Fatal(err)
	}
	end() // the first one again: the place is not its any more
	if _, err := Host[echo](s, echoGateway(), e, echoFunc(plain)); err == nil {
		t.Error("the place was left by who had left it before")
	}
	leave()
}

func TestCallsAreCounted(t *testing.T) {
	m := NewMetrics()
	host, _ := serve(t, Config{Metrics: m})
	hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher"}, func(_ context.Context, text string) (string, error) {
		return text, map[bool]error{true: errors.New("no")}[text == ""]
	})
	g := dial(t, host, rpc.Target{Address: host.Address(), Endpoint: "dispatcher"})
	_, _ = g.Say(t.Context(), "")
	_, _ = g.Say(t.Context(), "x")
	remote := dial(t, caller(t, Config{}), rpc.Target{Address: host.Address(), Endpoint: "dispatcher"})
	_, _ = remote.Say(t.Context(), "x")
	if got := testutil.ToFloat64(m.errors.WithLabelValues(sayMethod, "local")); got != 1 {
		t.Errorf("counted %v errors of local calls, want 1", got)
	}
	if got := testutil.CollectAndCount(m, "coordd_rpc_call_seconds"); got != 2 {
		t.Errorf("counted the time of %d sides, want 2", got)
	}
	if problems, err := testutil.CollectAndLint(m); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	g := echoGateway()
	anywhere, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer anywhere.Close()
	for name, cfg := range map[string]Config{
		"negative limit":       {MaxMessage: -1},
		"all addresses":        {Listener: anywhere},
		"gateway twice":        {Gateways: []*grpc.ServiceDesc{g.Desc, g.Desc}},
		"code twice":           {Errors: []Kind{{Code: "stopped", Err: errUnary}}},
		"code without error":   {Errors: []Kind{{Code: "x"}}},
		"mutual TLS, no files": {TLS: &TLS{Mutual: true}},
		"certificate, no key":  {TLS: &TLS{Cert: "x"}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Connect(t.Context(), s, g, rpc.Target{}); err == nil || !strings.Contains(err.Error(), g.Desc.ServiceName) {
		t.Errorf("unknown gateway: got %v", err)
	}
	known := newService(t, Config{})
	if _, _, err := Connect(t.Context(), known, g, rpc.Target{Endpoint: "ä"}); err == nil || !strings.Contains(err.Error(), "printable") {
		t.Errorf("name that cannot be a header: got %v", err)
	}
}
