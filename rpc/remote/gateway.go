package remote

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

// Gateway describes a type of gateway. G is the Go interface that callers use and
// implementations have; between them are the stubs that are generated from protobuf,
// unary methods only.
type Gateway[G any] struct {
	// Desc is the generated description. Its ServiceName is the type's name on the
	// wire. Services list it in Config.Gateways.
	Desc *grpc.ServiceDesc
	// Client makes a G of a connection.
	Client func(cc grpc.ClientConnInterface) G
	// Server makes of a G what Desc's handlers are called with.
	Server func(impl G) any
}

// Endpoint is what calls are brought to: *rpc.Endpoint, or *rpc.Fence for a component
// that keeps its state by other means.
type Endpoint interface {
	// Name is what callers name.
	Name() string
	// Admit returns nil when a call with the token may be served now.
	Admit(token leader.TermID) error
	// Recover, when deferred, ends the endpoint after a panic in its code.
	Recover(err *error)
}

var (
	_ Endpoint = (*rpc.Endpoint)(nil)
	_ Endpoint = (*rpc.Fence)(nil)
)

// Host has calls of a gateway to an endpoint reach impl: those with the endpoint's
// token, while the endpoint runs. impl is called on the goroutines of the callers, many
// at a time, and reaches its state with rpc.Ask; so a method that waits holds up no
// other. A panic in it ends the endpoint. One endpoint may have several gateways.
//
// leave ends it; calls that are under way go on. Errors: the gateway is not among
// Config.Gateways, or its place is taken by an endpoint of this name that has not left.
func Host[G any](s *Service, g Gateway[G], e Endpoint, impl G) (leave func(), err error) {
	if !s.known(g.Desc) {
		return nil, fmt.Errorf("host %s: gateway %s is not one of this service", e.Name(), g.Desc.ServiceName)
	}
	return s.host(place{g.Desc.ServiceName, e.Name()}, &hosted{endpoint: e, impl: g.Server(impl)})
}

// Connect connects to an endpoint and returns a gateway, whose calls carry the target's
// token, and which lives until hangUp is called. Before that the other side has agreed:
// it speaks the same version of the protocol, hosts the endpoint with this gateway, and
// the endpoint runs and has the token. Connections to an address are shared. A target
// in this process is called directly, unless Config.ForceWire is set.
//
// It blocks until the other side has answered, or ctx ends. Errors of it and of the
// gateway's calls: rpc.ErrUnreachable, which may be rpc.ErrRefused; rpc.ErrProtocol;
// rpc.ErrNoEndpoint; rpc.ErrNotStarted; rpc.ErrStopped; rpc.ErrFencingToken;
// rpc.ErrTooLarge; ctx's; of calls also those of the implementation, as far as
// Config.Errors knows them.
func Connect[G any](ctx context.Context, s *Service, g Gateway[G], t rpc.Target) (gateway G, hangUp func(), err error) {
	if !s.known(g.Desc) {
		return gateway, nil, fmt.Errorf("connect to %v: gateway %s is not one of this service", t, g.Desc.ServiceName)
	}
	cc, hangUp, err := s.connect(ctx, g.Desc.ServiceName, t)
	if err != nil {
		return gateway, nil, fmt.Errorf("connect to %v: %w", t, err)
	}
	return g.Client(cc), hangUp, nil
}

// Dial returns Connect for one type of gateway, as package rpc takes it.
func Dial[G any](s *Service, g Gateway[G]) rpc.Dial[G] {
	return func(ctx context.Context, t rpc.Target) (G, func(), error) { return Connect(ctx, s, g, t) }
}
