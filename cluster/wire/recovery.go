package wire

import (
	"context"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/gateway/gatewaypb"
	"github.com/coordd/coordd/job"
)

// recoveryStub is the caller's side.
type recoveryStub struct {
	client gatewaypb.RecoveryClient
}

var _ gateway.Recovery = recoveryStub{}

func (s recoveryStub) Recovery(ctx context.Context) (gateway.RecoveryReport, error) {
	reply, err := s.client.Recovery(ctx, &gatewaypb.Empty{})
	if err != nil {
		return gateway.RecoveryReport{}, err
	}
	return fromJSON[gateway.RecoveryReport]("recovery report", reply.GetReport())
}

func (s recoveryStub) RetryQuarantined(ctx context.Context, id job.ID) error {
	_, err := s.client.RetryQuarantined(ctx, &gatewaypb.JobRequest{Id: string(id)})
	return err
}

func (s recoveryStub) DropQuarantined(ctx context.Context, id job.ID) error {
	_, err := s.client.DropQuarantined(ctx, &gatewaypb.JobRequest{Id: string(id)})
	return err
}

func (s recoveryStub) Leftovers(ctx context.Context, remove bool) ([]gateway.Leftover, error) {
	reply, err := s.client.Leftovers(ctx, &gatewaypb.LeftoversRequest{Remove: remove})
	if err != nil {
		return nil, err
	}
	return fromJSON[[]gateway.Leftover]("leftovers", reply.GetLeftovers())
}

// recoveryServer is the callee's side.
type recoveryServer struct {
	gatewaypb.UnimplementedRecoveryServer
	impl gateway.Recovery
}

func (s recoveryServer) Recovery(ctx context.Context, _ *gatewaypb.Empty) (*gatewaypb.RecoveryReply, error) {
	report, err := s.impl.Recovery(ctx)
	if err != nil {
		return nil, err
	}
	encoded, err := toJSON("recovery report", report)
	return &gatewaypb.RecoveryReply{Report: encoded}, err
}

func (s recoveryServer) RetryQuarantined(ctx context.Context, p *gatewaypb.JobRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.RetryQuarantined(ctx, job.ID(p.GetId())))
}

func (s recoveryServer) DropQuarantined(ctx context.Context, p *gatewaypb.JobRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.DropQuarantined(ctx, job.ID(p.GetId())))
}

func (s recoveryServer) Leftovers(ctx context.Context, p *gatewaypb.LeftoversRequest) (*gatewaypb.LeftoversReply, error) {
	found, err := s.impl.Leftovers(ctx, p.GetRemove())
	if err != nil {
		return nil, err
	}
	encoded, err := toJSON("leftovers", found)
	return &gatewaypb.LeftoversReply{Leftovers: encoded}, err
}
