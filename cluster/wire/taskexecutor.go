package wire

import (
	"context"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/gateway/gatewaypb"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// taskExecutorStub is the caller's side.
type taskExecutorStub struct {
	client gatewaypb.TaskExecutorClient
}

var _ gateway.TaskExecutor = taskExecutorStub{}

func (s taskExecutorStub) RequestSlots(ctx context.Context, r gateway.SlotRequest) ([]gateway.Slot, error) {
	reply, err := s.client.RequestSlots(ctx, &gatewaypb.SlotRequest{Term: toTerm(r.Term), Job: string(r.Job), Count: int64(r.Count)})
	return fromSlots(reply), err
}

// Deploy may make several calls. After an error some have had their effect, as with any
// answer that is lost.
func (s taskExecutorStub) Deploy(ctx context.Context, term leader.TermID, ds []gateway.Deployment) ([]gateway.Refusal, error) {
	var refusals []gateway.Refusal
	for part := range chunks(each(ds, toDeployment)) {
		reply, err := s.client.Deploy(ctx, &gatewaypb.DeployRequest{Term: toTerm(term), Deployments: part})
		if err != nil {
			return nil, err
		}
		refusals = append(refusals, each(reply.GetRefusals(), fromRefusal)...)
	}
	return refusals, nil
}

func (s taskExecutorStub) CancelAttempts(ctx context.Context, term leader.TermID, ids []gateway.AttemptID) error {
	_, err := s.client.CancelAttempts(ctx, &gatewaypb.CancelAttemptsRequest{Term: toTerm(term), Attempts: each(ids, toAttempt)})
	return err
}

func (s taskExecutorStub) FreeSlots(ctx context.Context, term leader.TermID, slots []gateway.Slot) error {
	_, err := s.client.FreeSlots(ctx, &gatewaypb.FreeSlotsRequest{Term: toTerm(term), Slots: each(slots, toSlot)})
	return err
}

func (s taskExecutorStub) ReleaseJob(ctx context.Context, term leader.TermID, id job.ID) error {
	_, err := s.client.ReleaseJob(ctx, &gatewaypb.ReleaseJobRequest{Term: toTerm(term), Job: string(id)})
	return err
}

func (s taskExecutorStub) Drain(ctx context.Context, term leader.TermID) error {
	_, err := s.client.Drain(ctx, &gatewaypb.DrainRequest{Term: toTerm(term)})
	return err
}

func (s taskExecutorStub) Heartbeat(ctx context.Context, from gateway.Peer) (gateway.WorkerReport, error) {
	reply, err := s.client.Heartbeat(ctx, toPeer(from))
	return fromReport(reply), err
}

func (s taskExecutorStub) Disconnect(ctx context.Context, from gateway.Peer, reason string) error {
	_, err := s.client.Disconnect(ctx, &gatewaypb.DisconnectRequest{From: toPeer(from), Reason: text(reason)})
	return err
}

func (s taskExecutorStub) ReadLog(ctx context.Context, r gateway.LogRequest) (gateway.LogChunk, error) {
	reply, err := s.client.ReadLog(ctx, &gatewaypb.LogRequest{
		Job: string(r.Job), Task: r.Task, Subtask: int64(r.Subtask), Offset: r.Offset, Limit: int64(r.Limit), WaitNs: int64(r.Wait),
	})
	if err != nil {
		return gateway.LogChunk{}, err
	}
	return gateway.LogChunk{
		Attempt: fromAttempt(reply.GetAttempt()), Offset: reply.GetOffset(), Data: reply.GetData(), Ended: reply.GetEnded(),
	}, nil
}

func (s taskExecutorStub) Metrics(ctx context.Context) ([]gateway.Metric, error) {
	reply, err := s.client.Metrics(ctx, &gatewaypb.Empty{})
	return fromMetrics(reply), err
}

// taskExecutorServer is the callee's side.
type taskExecutorServer struct {
	gatewaypb.UnimplementedTaskExecutorServer
	impl gateway.TaskExecutor
}

func (s taskExecutorServer) RequestSlots(ctx context.Context, p *gatewaypb.SlotRequest) (*gatewaypb.SlotList, error) {
	slots, err := s.impl.RequestSlots(ctx, gateway.SlotRequest{
		Term: fromTerm(p.GetTerm()), Job: job.ID(p.GetJob()), Count: int(p.GetCount()),
	})
	return toSlots(slots), err
}

func (s taskExecutorServer) Deploy(ctx context.Context, p *gatewaypb.DeployRequest) (*gatewaypb.DeployReply, error) {
	refusals, err := s.impl.Deploy(ctx, fromTerm(p.GetTerm()), each(p.GetDeployments(), fromDeployment))
	return &gatewaypb.DeployReply{Refusals: each(refusals, toRefusal)}, err
}

func (s taskExecutorServer) CancelAttempts(ctx context.Context, p *gatewaypb.CancelAttemptsRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.CancelAttempts(ctx, fromTerm(p.GetTerm()), each(p.GetAttempts(), fromAttempt)))
}

func (s taskExecutorServer) FreeSlots(ctx context.Context, p *gatewaypb.FreeSlotsRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.FreeSlots(ctx, fromTerm(p.GetTerm()), each(p.GetSlots(), fromSlot)))
}

func (s taskExecutorServer) ReleaseJob(ctx context.Context, p *gatewaypb.ReleaseJobRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.ReleaseJob(ctx, fromTerm(p.GetTerm()), job.ID(p.GetJob())))
}

func (s taskExecutorServer) Drain(ctx context.Context, p *gatewaypb.DrainRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.Drain(ctx, fromTerm(p.GetTerm())))
}

func (s taskExecutorServer) Heartbeat(ctx context.Context, p *gatewaypb.Peer) (*gatewaypb.WorkerReport, error) {
	report, err := s.impl.Heartbeat(ctx, fromPeer(p))
	return toReport(report), err
}

func (s taskExecutorServer) Disconnect(ctx context.Context, p *gatewaypb.DisconnectRequest) (*gatewaypb.Empty, error) {
	return nothing(s.impl.Disconnect(ctx, fromPeer(p.GetFrom()), p.GetReason()))
}

func (s taskExecutorServer) ReadLog(ctx context.Context, p *gatewaypb.LogRequest) (*gatewaypb.LogChunk, error) {
	c, err := s.impl.ReadLog(ctx, gateway.LogRequest{
		Job: job.ID(p.GetJob()), Task: p.GetTask(), Subtask: int(p.GetSubtask()),
		Offset: p.GetOffset(), Limit: int(p.GetLimit()), Wait: time.Duration(p.GetWaitNs()),
	})
	return &gatewaypb.LogChunk{Attempt: toAttempt(c.Attempt), Offset: c.Offset, Data: c.Data, Ended: c.Ended}, err
}

func (s taskExecutorServer) Metrics(ctx context.Context, _ *gatewaypb.Empty) (*gatewaypb.MetricsReply, error) {
	metrics, err := s.impl.Metrics(ctx)
	return toMetrics(metrics), err
}

func toDeployment(d gateway.Deployment) *gatewaypb.Deployment {
	return &gatewaypb.Deployment{
		Attempt: toAttempt(d.Attempt), Slot: string(d.Slot), Parallelism: int64(d.Parallelism),
		Command: d.Command, Func: d.Func, Env: d.Env, Dir: d.Dir, TimeoutNs: int64(d.Timeout),
		Inputs: each(d.Inputs, func(i gateway.Input) *gatewaypb.Input {
			return &gatewaypb.Input{Task: i.Task, Subtask: int64(i.Subtask), Data: i.Data}
		}),
	}
}

func fromDeployment(p *gatewaypb.Deployment) gateway.Deployment {
	return gateway.Deployment{
		Attempt: fromAttempt(p.GetAttempt()), Slot: gateway.Slot(p.GetSlot()), Parallelism: int(p.GetParallelism()),
		Command: p.GetCommand(), Func: p.GetFunc(), Env: p.GetEnv(), Dir: p.GetDir(), Timeout: time.Duration(p.GetTimeoutNs()),
		Inputs: each(p.GetInputs(), func(i *gatewaypb.Input) gateway.Input {
			return gateway.Input{Task: i.GetTask(), Subtask: int(i.GetSubtask()), Data: i.GetData()}
		}),
	}
}
