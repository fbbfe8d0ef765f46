package wire

import (
	"context"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/gateway/gatewaypb"
)

// jobMasterStub is the caller's side.
type jobMasterStub struct {
	client gatewaypb.JobMasterClient
}

var _ gateway.JobMaster = jobMasterStub{}

func (s jobMasterStub) RegisterWorker(ctx context.Context, w gateway.Worker, has gateway.JobReport) (gateway.JobReply, error) {
	reply, err := s.client.RegisterWorker(ctx, &gatewaypb.RegisterAtMasterRequest{Worker: toWorker(w), Has: toJobReport(has)})
	if err != nil {
		return gateway.JobReply{}, err
	}
	return gateway.JobReply{
		Unwanted: each(reply.GetUnwanted(), fromAttempt), Settled: each(reply.GetSettled(), fromAttempt),
		Refused: each(reply.GetRefused(), fromSlot),
	}, nil
}

func (s jobMasterStub) OfferSlots(ctx context.Context, w gateway.Worker, slots []gateway.Slot) ([]gateway.Slot, error) {
	reply, err := s.client.OfferSlots(ctx, &gatewaypb.OfferSlotsRequest{Worker: toWorker(w), Slots: each(slots, toSlot)})
	return fromSlots(reply), err
}

// AttemptsEnded may make several calls: all are settled when each has said so.
func (s jobMasterStub) AttemptsEnded(ctx context.Context, w gateway.Worker, ends []gateway.AttemptEnd) error {
	for part := range chunks(each(ends, toEnd)) {
		if _, err := s.client.AttemptsEnded(ctx, &gatewaypb.AttemptsEndedRequest{Worker: toWorker(w), Ends: part}); err != nil {
			return err
		}
	}
	return nil
}

func (s jobMasterStub) DisconnectWorker(ctx context.Context, w gateway.Worker, reason string) error {
	_, err := s.client.DisconnectWorker(ctx, &gatewaypb.WorkerGoneRequest{Worker: toWorker(w), Reason: text(reason)})
	return err
}

func (s jobMasterStub) Heartbeat(ctx context.Context, from gateway.Peer) error {
	_, err := s.client.Heartbeat(ctx, &gatewaypb.MasterHeartbeat{From: toPeer(from)})
	return err
}

func (s jobMasterStub) DisconnectResourceManager(ctx context.Context, reason string) error {
	_, err := s.client.DisconnectResourceManager(ctx, &gatewaypb.DisconnectResourceManagerRequest{Reason: text(reason)})
	return err
}

func (s jobMasterStub) GiveBack(ctx context.Context, n gateway.Need) error {
	_, err := s.client.GiveBack(ctx, toNeed(n))
	return err
}

func (s jobMasterStub) Metrics(ctx context.Context) ([]gateway.Metric, error) {
	reply, err := s.client.Metrics(ctx, &gatewaypb.Empty{})
	return fromMetrics(reply), err
}

// jobMasterServer is the callee's side.
type jobMasterServer struct {
	gatewaypb.UnimplementedJobMasterServer
	impl gateway.JobMaster
}

func (s jobMasterServer) RegisterWorker(ctx context.Context, p *gatewaypb.RegisterAtMasterRequest) (*gatewaypb.JobReply, error) {
	r, err := s.impl.RegisterWorker(ctx, fromWorker(p.GetWorker()), fromJobReport(p.GetHas()))
	return &gatewaypb.JobReply{
		Unwanted: each(r.Unwanted, toAttempt), Settled: each(r.Settled, toAttempt), Refused: each(r.Refused, toSlot),
	}, err
}

func (s jobMasterServer) OfferSlots(ctx context.Context, p *gatewaypb.OfferSlotsRequest) (*gatewaypb.SlotList, error) {
	taken, err := s.impl.OfferSlots(ctx, fromWorker(p.GetWorker()), each(p.GetSlots(), fromSlot))
	return toSlots(taken), err
}

func (s jobMasterServer) AttemptsEnded(ctx context.Context, p *gatewaypb.AttemptsEndedRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.AttemptsEnded(ctx, fromWorker(p.GetWorker()), each(p.GetEnds(), fromEnd)))
}

func (s jobMasterServer) DisconnectWorker(ctx context.Context, p *gatewaypb.WorkerGoneRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.DisconnectWorker(ctx, fromWorker(p.GetWorker()), p.GetReason()))
}

func (s jobMasterServer) Heartbeat(ctx context.Context, p *gatewaypb.MasterHeartbeat) (*gatewaypb.Empty, error) {
	return nothing(s.impl.Heartbeat(ctx, fromPeer(p.GetFrom())))
}

func (s jobMasterServer) DisconnectResourceManager(ctx context.Context, p *gatewaypb.DisconnectResourceManagerRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.DisconnectResourceManager(ctx, p.GetReason()))
}

func (s jobMasterServer) GiveBack(ctx context.Context, p *gatewaypb.Need) (*gatewaypb.Empty, error) {
	return nothing(s.impl.GiveBack(ctx, fromNeed(p)))
}

func (s jobMasterServer) Metrics(ctx context.Context, _ *gatewaypb.Empty) (*gatewaypb.MetricsReply, error) {
	metrics, err := s.impl.Metrics(ctx)
	return toMetrics(metrics), err
}

func toJobReport(r gateway.JobReport) *gatewaypb.JobReport {
	return &gatewaypb.JobReport{
		Labels: r.Labels, Slots: each(r.Slots, toSlot), Ended: each(r.Ended, toEnd), AgeNs: int64(r.Age),
		Running: each(r.Running, func(a gateway.RunningAttempt) *gatewaypb.RunningAttempt {
			return &gatewaypb.RunningAttempt{Attempt: toAttempt(a.Attempt), Slot: string(a.Slot)}
		}),
	}
}

func fromJobReport(p *gatewaypb.JobReport) gateway.JobReport {
	return gateway.JobReport{
		Labels: p.GetLabels(), Slots: each(p.GetSlots(), fromSlot), Ended: each(p.GetEnded(), fromEnd), Age: time.Duration(p.GetAgeNs()),
		Running: each(p.GetRunning(), func(a *gatewaypb.RunningAttempt) gateway.RunningAttempt {
			return gateway.RunningAttempt{Attempt: fromAttempt(a.GetAttempt()), Slot: gateway.Slot(a.GetSlot())}
		}),
	}
}
