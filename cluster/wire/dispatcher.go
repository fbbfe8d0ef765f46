package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/gateway/gatewaypb"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/rpc"
)

// pageSize is how many bytes of snapshots an answer holds, or one snapshot more: the
// jobs of a cluster may be larger than a message.
const pageSize = 2 << 20

// dispatcherStub is the caller's side.
type dispatcherStub struct {
	client gatewaypb.DispatcherClient
}

var _ gateway.Dispatcher = dispatcherStub{}

func (s dispatcherStub) Submit(ctx context.Context, sub gateway.Submission) (job.Snapshot, bool, error) {
	graph, err := toJSON("graph", sub.Graph)
	if err != nil {
		return job.Snapshot{}, false, err
	}
	reply, err := s.client.Submit(ctx, &gatewaypb.SubmitRequest{Id: string(sub.ID), Graph: graph})
	if errors.Is(err, rpc.ErrTooLarge) {
		return job.Snapshot{}, false, fmt.Errorf("%w: %w", gateway.ErrTooLarge, err)
	}
	if err != nil {
		return job.Snapshot{}, false, err
	}
	snap, err := fromJSON[job.Snapshot]("job", reply.GetSnapshot())
	return snap, reply.GetCreated(), err
}

// Jobs asks for one page after the other.
func (s dispatcherStub) Jobs(ctx context.Context) ([]job.Snapshot, error) {
	var all []job.Snapshot
	for request := (&gatewaypb.JobsRequest{}); ; {
		reply, err := s.client.Jobs(ctx, request)
		if err != nil {
			return nil, err
		}
		page, err := fromEachJSON[job.Snapshot]("job", reply.GetSnapshots())
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if !reply.GetMore() || len(page) == 0 {
			return all, nil
		}
		last := page[len(page)-1]
		request = &gatewaypb.JobsRequest{After: string(last.ID), AfterSubmittedNs: nanos(last.SubmittedAt)}
	}
}

func (s dispatcherStub) Job(ctx context.Context, id job.ID) (job.Snapshot, error) {
	reply, err := s.client.Job(ctx, &gatewaypb.JobRequest{Id: string(id)})
	if err != nil {
		return job.Snapshot{}, err
	}
	return fromJSON[job.Snapshot]("job", reply.GetSnapshot())
}

func (s dispatcherStub) Cancel(ctx context.Context, id job.ID) (job.Snapshot, error) {
	reply, err := s.client.Cancel(ctx, &gatewaypb.JobRequest{Id: string(id)})
	if err != nil {
		return job.Snapshot{}, err
	}
	return fromJSON[job.Snapshot]("job", reply.GetSnapshot())
}

// dispatcherServer is the callee's side.
type dispatcherServer struct {
	gatewaypb.UnimplementedDispatcherServer
	impl gateway.Dispatcher
}

func (s dispatcherServer) Submit(ctx context.Context, p *gatewaypb.SubmitRequest) (*gatewaypb.SubmitReply, error) {
	graph, err := fromJSON[job.Graph]("graph", p.GetGraph())
	if err != nil {
		return nil, err
	}
	snap, created, err := s.impl.Submit(ctx, gateway.Submission{ID: job.ID(p.GetId()), Graph: graph})
	if err != nil {
		return nil, err
	}
	encoded, err := toJSON("job", snap)
	return &gatewaypb.SubmitReply{Snapshot: encoded, Created: created}, err
}

// Jobs returns the jobs after the one that is named, as many as a page holds. They are
// ordered by submission time, then ID, so one that has gone meanwhile is no loss.
func (s dispatcherServer) Jobs(ctx context.Context, p *gatewaypb.JobsRequest) (*gatewaypb.JobsReply, error) {
	all, err := s.impl.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	reply, size := &gatewaypb.JobsReply{}, 0
	for _, snap := range all {
		if order := cmp.Compare(nanos(snap.SubmittedAt), p.GetAfterSubmittedNs()); p.GetAfter() != "" && (order < 0 || order == 0 && string(snap.ID) <= p.GetAfter()) {
			continue
		}
		if size >= pageSize {
			reply.More = true
			break
		}
		encoded, err := toJSON("job", snap)
		if err != nil {
			return nil, err
		}
		reply.Snapshots = append(reply.Snapshots, encoded)
		size += len(encoded)
	}
	return reply, nil
}

// nanos returns when a job was submitted, in nanoseconds since 1970. Of one in quarantine
// that is not known: those come first.
func nanos(submitted time.Time) int64 {
	if submitted.IsZero() {
		return math.MinInt64
	}
	return submitted.UnixNano()
}

func (s dispatcherServer) Job(ctx context.Context, p *gatewaypb.JobRequest) (*gatewaypb.JobSnapshot, error) {
	return toSnapshot(s.impl.Job(ctx, job.ID(p.GetId())))
}

func (s dispatcherServer) Cancel(ctx context.Context, p *gatewaypb.JobRequest) (*gatewaypb.JobSnapshot, error) {
	return toSnapshot(s.impl.Cancel(ctx, job.ID(p.GetId())))
}

func toSnapshot(snap job.Snapshot, err error) (*gatewaypb.JobSnapshot, error) {
	if err != nil {
		return nil, err
	}
	encoded, err := toJSON("job", snap)
	return &gatewaypb.JobSnapshot{Snapshot: encoded}, err
}
