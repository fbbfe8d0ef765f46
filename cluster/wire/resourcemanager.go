package wire

import (
	"context"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/gateway/gatewaypb"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// resourceManagerStub is the caller's side.
type resourceManagerStub struct {
	client gatewaypb.ResourceManagerClient
}

var _ gateway.ResourceManager = resourceManagerStub{}

func (s resourceManagerStub) RegisterWorker(ctx context.Context, w gateway.WorkerRegistration) (gateway.WorkerReply, error) {
	reply, err := s.client.RegisterWorker(ctx, &gatewaypb.WorkerRegistration{
		Worker: toWorker(w.Worker), Labels: w.Labels, Release: w.Release, Report: toReport(w.Report),
	})
	return gateway.WorkerReply{
		HeartbeatTimeout: time.Duration(reply.GetHeartbeatTimeoutNs()), Drain: reply.GetDrain(),
	}, err
}

func (s resourceManagerStub) DisconnectWorker(ctx context.Context, w gateway.Worker, reason string, stopped bool) error {
	_, err := s.client.DisconnectWorker(ctx, &gatewaypb.DisconnectWorkerRequest{Worker: toWorker(w), Reason: text(reason), Stopped: stopped})
	return err
}

func (s resourceManagerStub) SlotsFreed(ctx context.Context, w gateway.Worker, slots []gateway.Slot) error {
	_, err := s.client.SlotsFreed(ctx, &gatewaypb.SlotsFreedRequest{Worker: toWorker(w), Slots: each(slots, toSlot)})
	return err
}

func (s resourceManagerStub) RegisterJobMaster(ctx context.Context, m gateway.MasterRegistration) error {
	_, err := s.client.RegisterJobMaster(ctx, &gatewaypb.MasterRegistration{Term: toTerm(m.Term), Job: string(m.Job), Address: m.Address})
	return err
}

func (s resourceManagerStub) DisconnectJobMaster(ctx context.Context, term leader.TermID, id job.ID, reason string) error {
	_, err := s.client.DisconnectJobMaster(ctx, &gatewaypb.DisconnectJobMasterRequest{Term: toTerm(term), Job: string(id), Reason: text(reason)})
	return err
}

func (s resourceManagerStub) DeclareNeeds(ctx context.Context, term leader.TermID, id job.ID, needs []gateway.Need) error {
	_, err := s.client.DeclareNeeds(ctx, &gatewaypb.DeclareNeedsRequest{Term: toTerm(term), Job: string(id), Needs: each(needs, toNeed)})
	return err
}

func (s resourceManagerStub) Holders(ctx context.Context, id job.ID) ([]gateway.Worker, error) {
	reply, err := s.client.Holders(ctx, &gatewaypb.HoldersRequest{Job: string(id)})
	return each(reply.GetWorkers(), fromWorker), err
}

func (s resourceManagerStub) Workers(ctx context.Context) ([]gateway.WorkerStatus, error) {
	reply, err := s.client.Workers(ctx, &gatewaypb.Empty{})
	if err != nil {
		return nil, err
	}
	return fromEachJSON[gateway.WorkerStatus]("worker", reply.GetWorkers())
}

func (s resourceManagerStub) Drain(ctx context.Context, worker string) error {
	_, err := s.client.Drain(ctx, &gatewaypb.DrainWorkerRequest{Worker: worker})
	return err
}

func (s resourceManagerStub) ReleaseJob(ctx context.Context, id job.ID) error {
	_, err := s.client.ReleaseJob(ctx, &gatewaypb.ReleaseRequest{Job: string(id)})
	return err
}

// resourceManagerServer is the callee's side.
type resourceManagerServer struct {
	gatewaypb.UnimplementedResourceManagerServer
	impl gateway.ResourceManager
}

func (s resourceManagerServer) RegisterWorker(ctx context.Context, p *gatewaypb.WorkerRegistration) (*gatewaypb.WorkerReply, error) {
	reply, err := s.impl.RegisterWorker(ctx, gateway.WorkerRegistration{
		Worker: fromWorker(p.GetWorker()), Labels: p.GetLabels(), Release: p.GetRelease(), Report: fromReport(p.GetReport()),
	})
	return &gatewaypb.WorkerReply{HeartbeatTimeoutNs: int64(reply.HeartbeatTimeout), Drain: reply.Drain}, err
}

func (s resourceManagerServer) DisconnectWorker(ctx context.Context, p *gatewaypb.DisconnectWorkerRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.DisconnectWorker(ctx, fromWorker(p.GetWorker()), p.GetReason(), p.GetStopped()))
}

func (s resourceManagerServer) SlotsFreed(ctx context.Context, p *gatewaypb.SlotsFreedRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.SlotsFreed(ctx, fromWorker(p.GetWorker()), each(p.GetSlots(), fromSlot)))
}

func (s resourceManagerServer) RegisterJobMaster(ctx context.Context, p *gatewaypb.MasterRegistration) (*gatewaypb.Empty, error) {
	return nothing(s.impl.RegisterJobMaster(ctx, gateway.MasterRegistration{
		Term: fromTerm(p.GetTerm()), MasterLocation: gateway.MasterLocation{Job: job.ID(p.GetJob()), Address: p.GetAddress()},
	}))
}

func (s resourceManagerServer) DisconnectJobMaster(ctx context.Context, p *gatewaypb.DisconnectJobMasterRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.DisconnectJobMaster(ctx, fromTerm(p.GetTerm()), job.ID(p.GetJob()), p.GetReason()))
}

func (s resourceManagerServer) DeclareNeeds(ctx context.Context, p *gatewaypb.DeclareNeedsRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.DeclareNeeds(ctx, fromTerm(p.GetTerm()), job.ID(p.GetJob()), each(p.GetNeeds(), fromNeed)))
}

func (s resourceManagerServer) Holders(ctx context.Context, p *gatewaypb.HoldersRequest) (*gatewaypb.HoldersReply, error) {
	workers, err := s.impl.Holders(ctx, job.ID(p.GetJob()))
	return &gatewaypb.HoldersReply{Workers: each(workers, toWorker)}, err
}

func (s resourceManagerServer) Workers(ctx context.Context, _ *gatewaypb.Empty) (*gatewaypb.WorkersReply, error) {
	workers, err := s.impl.Workers(ctx)
	if err != nil {
		return nil, err
	}
	encoded, err := toEachJSON("worker", workers)
	return &gatewaypb.WorkersReply{Workers: encoded}, err
}

func (s resourceManagerServer) Drain(ctx context.Context, p *gatewaypb.DrainWorkerRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.Drain(ctx, p.GetWorker()))
}

func (s resourceManagerServer) ReleaseJob(ctx context.Context, p *gatewaypb.ReleaseRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.ReleaseJob(ctx, job.ID(p.GetJob())))
}
