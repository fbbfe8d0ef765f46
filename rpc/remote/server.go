package remote

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/coordd/coordd/rpc"
)

// How a lost peer is found while nothing is said: after keepaliveTime a ping is sent,
// and its answer is waited for as long as keepaliveTimeout. Heartbeats between
// components find it sooner; this frees the connection.
const (
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 5 * time.Second
)

// streamWorkers is how many goroutines wait for calls. A goroutine that is started for a
// call grows its stack each time, which costs a tenth of a call; when all of these are
// busy, calls are served that way.
const streamWorkers = 64

// server returns the gRPC server of one Run.
func (s *Service) server() *grpc.Server {
	server := grpc.NewServer(
		grpc.Creds(s.keys.credentials()),
		grpc.MaxRecvMsgSize(s.cfg.MaxMessage),
		grpc.MaxSendMsgSize(s.cfg.MaxMessage),
		grpc.WaitForHandlers(true),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
	)
	for _, desc := range s.cfg.Gateways {
		wrapped := grpc.ServiceDesc{ServiceName: desc.ServiceName, HandlerType: (*any)(nil), Metadata: desc.Metadata}
		for _, m := range desc.Methods {
			wrapped.Methods = append(wrapped.Methods, grpc.MethodDesc{
				MethodName: m.MethodName,
				Handler:    s.serve(s.methods["/"+desc.ServiceName+"/"+m.MethodName]),
			})
		}
		server.RegisterService(&wrapped, s)
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: handshakeService, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: handshakeMethod, Handler: s.shake()}},
	}, s)
	return server
}

// serve returns the handler of a method for gRPC, which looks up the endpoint.
func (s *Service) serve(m *method) grpc.MethodHandler {
	return func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		begun := m.meters.server.begin()
		reply, err := s.answer(ctx, m, read)
		m.meters.server.end(begun, err)
		if err != nil {
			return nil, s.kinds.status(ctx, err)
		}
		return reply, nil
	}
}

func (s *Service) answer(ctx context.Context, m *method, read func(any) error) (any, error) {
	to, err := destinationOf(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := s.call(ctx, m, to, read)
	if err != nil {
		return nil, err
	}
	return reply, s.checkSize("answer", m.full, reply)
}

// checkSize returns rpc.ErrTooLarge for a message that may not be sent.
func (s *Service) checkSize(what, method string, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%s of %s is a %T, and no protobuf message", what, method, message)
	}
	if size := proto.Size(m); size > s.cfg.MaxMessage {
		return fmt.Errorf("%s of %s has %d bytes, the limit is %d: %w", what, method, size, s.cfg.MaxMessage, rpc.ErrTooLarge)
	}
	return nil
}

// shake returns the handler of the handshake.
func (s *Service) shake() grpc.MethodHandler {
	return func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := read(new(emptypb.Empty)); err != nil {
			return nil, err
		}
		if err := s.agree(ctx); err != nil {
			return nil, s.kinds.status(ctx, err)
		}
		return new(emptypb.Empty), nil
	}
}

// agree checks what the other side wants to connect to.
func (s *Service) agree(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if err := s.checkProtocol(md.Get(protocolKey)); err != nil {
		return err
	}
	to, err := destinationOf(ctx)
	if err != nil {
		return err
	}
	gateway := md.Get(gatewayKey)
	if len(gateway) != 1 {
		return fmt.Errorf("handshake names %d gateways, want one: %w", len(gateway), rpc.ErrProtocol)
	}
	_, err = s.find(gateway[0], to)
	return err
}
