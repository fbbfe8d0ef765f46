package remote

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/coordd/coordd/rpc"
)

// connect makes the handshake and returns a connection for one target.
func (s *Service) connect(ctx context.Context, gateway string, t rpc.Target) (grpc.ClientConnInterface, func(), error) {
	to := destination{t.Endpoint, t.Term}
	if err := to.check(); err != nil {
		return nil, nil, err
	}
	if t.Address == s.cfg.Address && !s.cfg.ForceWire {
		if _, err := s.find(gateway, to); err != nil {
			return nil, nil, err
		}
		return &direct{service: s, to: to}, func() {}, nil
	}
	link, err := s.links.acquire(t.Address)
	if err != nil {
		return nil, nil, err
	}
	w := &wire{service: s, target: t, link: link, header: metadata.Pairs(toKey, to.header())}
	hangUp := sync.OnceFunc(func() {
		w.hungUp.Store(true)
		s.links.release(link)
	})
	greeted := metadata.NewOutgoingContext(ctx, s.greeting(gateway, to))
	if err := link.cc.Invoke(greeted, handshakeCall, new(emptypb.Empty), new(emptypb.Empty)); err != nil {
		hangUp()
		return nil, nil, w.failure(ctx, handshakeCall, err)
	}
	return w, hangUp, nil
}

// errUnary is what gateways with streams get.
var errUnary = errors.New("rpc: gateways have unary methods only")

// wire calls one target in another process.
type wire struct {
	service *Service
	target  rpc.Target
	link    *link
	header  metadata.MD
	hungUp  atomic.Bool
}

var (
	_ grpc.ClientConnInterface = (*wire)(nil)
	_ grpc.ClientConnInterface = (*direct)(nil)
)

// Invoke makes a call.
func (w *wire) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	m := w.service.methods[method]
	if m == nil {
		return fmt.Errorf("method %s: %w", method, rpc.ErrProtocol)
	}
	begun := m.meters.client.begin()
	err := w.invoke(ctx, method, args, reply, opts)
	m.meters.client.end(begun, err)
	return err
}

func (w *wire) invoke(ctx context.Context, method string, args, reply any, opts []grpc.CallOption) error {
	if w.hungUp.Load() {
		return fmt.Errorf("call %s of %v: the connection was hung up here: %w", path.Base(method), w.target, rpc.ErrUnreachable)
	}
	if err := w.service.checkSize("request", method, args); err != nil {
		return fmt.Errorf("call of %v: %w", w.target, err)
	}
	if err := w.link.cc.Invoke(metadata.NewOutgoingContext(ctx, w.header), method, args, reply, opts...); err != nil {
		return w.failure(ctx, method, err)
	}
	return nil
}

// NewStream is not supported.
func (*wire) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errUnary
}

// failure makes of gRPC's error what callers decide upon.
func (w *wire) failure(ctx context.Context, method string, err error) error {
	e := &Error{Method: path.Base(method), Target: w.target}
	st := status.Convert(err)
	e.text, e.kinds = st.Message(), w.service.kinds.of(st)
	if st.Code() == codes.DeadlineExceeded {
		e.kinds = append(e.kinds, context.DeadlineExceeded)
	}
	if len(e.kinds) > 0 {
		return e
	}
	switch st.Code() {
	case codes.Canceled:
		if ctx.Err() != nil {
			e.kinds, e.text = []error{ctx.Err()}, "given up"
			break
		}
		e.kinds, e.text = []error{rpc.ErrUnreachable}, "connection is closed"
	case codes.Unavailable:
		cause := w.link.unreachable(st.Message())
		e.kinds, e.text = []error{cause}, cause.Error()
	case codes.ResourceExhausted:
		e.kinds = []error{rpc.ErrTooLarge}
	case codes.Unimplemented:
		e.kinds = []error{rpc.ErrProtocol}
	}
	return e
}

// direct calls one target in this process.
type direct struct {
	service *Service
	to      destination
}

// Invoke makes a call. Messages are copied, so that neither side sees what the other
// does with its own afterwards.
func (d *direct) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	m := d.service.methods[method]
	if m == nil {
		return fmt.Errorf("method %s: %w", method, rpc.ErrProtocol)
	}
	begun := m.meters.local.begin()
	answer, err := d.service.call(ctx, m, d.to, func(into any) error { return copyMessage(into, args) })
	if err == nil {
		err = copyMessage(reply, answer)
	}
	m.meters.local.end(begun, err)
	return err
}

// NewStream is not supported.
func (*direct) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errUnary
}

func copyMessage(into, from any) error {
	dst, ok1 := into.(proto.Message)
	src, ok2 := from.(proto.Message)
	if !ok1 || !ok2 {
		return fmt.Errorf("copy a %T to a %T: not protobuf messages", from, into)
	}
	proto.Merge(dst, src)
	return nil
}
