package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
	"github.com/coordd/coordd/rpc/remote"
)

// counter is the gateway that is measured: it adds to a number and returns it.
type counter interface {
	Add(ctx context.Context, n int64) (int64, error)
}

const addMethod = "/coordd.bench.Counter/Add"

// stub is the caller's side, as it would be generated.
type stub struct{ cc grpc.ClientConnInterface }

func (s stub) Add(ctx context.Context, n int64) (int64, error) {
	reply := new(wrapperspb.Int64Value)
	if err := s.cc.Invoke(ctx, addMethod, wrapperspb.Int64(n), reply); err != nil {
		return 0, err
	}
	return reply.GetValue(), nil
}

// gateway describes it. The bare server has the same handler.
func gateway() remote.Gateway[counter] {
	return remote.Gateway[counter]{
		Desc: &grpc.ServiceDesc{
			ServiceName: "coordd.bench.Counter", HandlerType: (*counter)(nil),
			Methods: []grpc.MethodDesc{{MethodName: "Add", Handler: handle}},
		},
		Client: func(cc grpc.ClientConnInterface) counter { return stub{cc} },
		Server: func(impl counter) any { return impl },
	}
}

func handle(impl any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // gRPC's signature
	in := new(wrapperspb.Int64Value)
	if err := read(in); err != nil {
		return nil, err
	}
	sum, err := impl.(counter).Add(ctx, in.GetValue()) //nolint:forcetypeassert // as generated code does
	if err != nil {
		return nil, err
	}
	return wrapperspb.Int64(sum), nil
}

// onEndpoint is a counter whose state an endpoint owns.
type onEndpoint struct {
	endpoint *rpc.Endpoint
	sum      int64
}

func (c *onEndpoint) Add(ctx context.Context, n int64) (int64, error) {
	return rpc.Ask(ctx, c.endpoint, func() (int64, error) { c.sum += n; return c.sum, nil })
}

// byItself is a counter of the bare server.
type byItself struct {
	mu  sync.Mutex
	sum int64
}

func (c *byItself) Add(_ context.Context, n int64) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum += n
	return c.sum, nil
}

// world is what is measured: one caller for each.
type world struct {
	remote, bare, ask, direct, channel caller

	ends []func()
}

func (w *world) close() {
	for len(w.ends) > 0 {
		last := len(w.ends) - 1
		w.ends[last]()
		w.ends = w.ends[:last]
	}
}

func newWorld(ctx context.Context) (w *world, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := w.startOurs(ctx); err != nil {
		return nil, err
	}
	if err := w.startBare(ctx); err != nil {
		return nil, err
	}
	w.startChannel(ctx)
	return w, nil
}

// run runs something until the world is closed.
func (w *world) run(ctx context.Context, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = run(ctx) }() // its error is that of its context
	w.ends = append(w.ends, func() { cancel(); <-ended })
}

func listen(ctx context.Context) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
}

// startOurs starts a service with a fenced endpoint, and one that calls it.
func (w *world) startOurs(ctx context.Context) error {
	listener, err := listen(ctx)
	if err != nil {
		return err
	}
	term := leader.TermID{SessionID: leader.NewSessionID(), Epoch: 4294967321}
	endpoint, err := rpc.NewEndpoint(rpc.EndpointConfig{Name: "dispatcher", Term: term})
	if err != nil {
		return err
	}
	gateways := []*grpc.ServiceDesc{gateway().Desc}
	host, err := remote.New(remote.Config{Listener: listener, Gateways: gateways})
	if err != nil {
		return err
	}
	other, err := remote.New(remote.Config{Gateways: gateways})
	if err != nil {
		return err
	}
	for _, run := range []func(context.Context) error{endpoint.Run, host.Run, other.Run} {
		w.run(ctx, run)
	}
	impl := &onEndpoint{endpoint: endpoint}
	if _, err := remote.Host[counter](host, gateway(), endpoint, impl); err != nil {
		return err
	}
	target := rpc.Target{Address: host.Address(), Endpoint: "dispatcher", Term: term}
	counters := make([]counter, 0, 2)
	for _, s := range []*remote.Service{other, host} {
		g, hangUp, err := dial(ctx, s, target)
		if err != nil {
			return err
		}
		w.ends = append(w.ends, hangUp)
		counters = append(counters, g)
	}
	w.remote, w.direct, w.ask = calling(counters[0]), calling(counters[1]), calling(impl)
	return nil
}

// dial connects, as soon as the endpoint runs.
func dial(ctx context.Context, s *remote.Service, t rpc.Target) (counter, func(), error) {
	for {
		g, hangUp, err := remote.Connect(ctx, s, gateway(), t)
		if !errors.Is(err, rpc.ErrNotStarted) {
			return g, hangUp, err
		}
	}
}

func calling(c counter) caller {
	return func(ctx context.Context) error {
		_, err := c.Add(ctx, 1)
		return err
	}
}

// startBare starts a server of grpc-go as its documentation shows it, and a client.
func (w *world) startBare(ctx context.Context) error {
	listener, err := listen(ctx)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	server.RegisterService(gateway().Desc, &byItself{})
	w.run(ctx, func(context.Context) error { return server.Serve(listener) })
	w.ends = append(w.ends, server.Stop)
	cc, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("bare client: %w", err)
	}
	w.ends = append(w.ends, func() { _ = cc.Close() })
	w.bare = calling(stub{cc})
	return nil
}

// question is an ask of the channel.
type question struct {
	fn     func() int64
	answer chan int64
}

// startChannel starts a goroutine that answers what it is asked through a channel.
func (w *world) startChannel(ctx context.Context) {
	questions := make(chan question)
	w.run(ctx, func(ctx context.Context) error {
		for {
			select {
			case q := <-questions:
				q.answer <- q.fn()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	var sum int64
	w.channel = func(ctx context.Context) error {
		q := question{func() int64 { sum++; return sum }, make(chan int64, 1)}
		select {
		case questions <- q:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-q.answer:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
