package wire

import (
	"strings"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/gateway/gatewaypb"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// each converts a list. An empty one becomes nil.
func each[A, B any](all []A, convert func(A) B) []B {
	if len(all) == 0 {
		return nil
	}
	converted := make([]B, len(all))
	for i, a := range all {
		converted[i] = convert(a)
	}
	return converted
}

// text makes UTF-8 of what somebody wrote for people, as protobuf asks for.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func toTerm(t leader.TermID) *gatewaypb.Term {
	return &gatewaypb.Term{SessionId: string(t.SessionID), Epoch: int64(t.Epoch)}
}

func fromTerm(p *gatewaypb.Term) leader.TermID {
	return leader.TermID{SessionID: leader.SessionID(p.GetSessionId()), Epoch: leader.Epoch(p.GetEpoch())}
}

func toWorker(w gateway.Worker) *gatewaypb.Worker {
	return &gatewaypb.Worker{Id: w.ID, Instance: w.Instance, Address: w.Address}
}

func fromWorker(p *gatewaypb.Worker) gateway.Worker {
	return gateway.Worker{ID: p.GetId(), Instance: p.GetInstance(), Address: p.GetAddress()}
}

func toPeer(f gateway.Peer) *gatewaypb.Peer {
	return &gatewaypb.Peer{Term: toTerm(f.Term), Job: string(f.Job)}
}

func fromPeer(p *gatewaypb.Peer) gateway.Peer {
	return gateway.Peer{Term: fromTerm(p.GetTerm()), Job: job.ID(p.GetJob())}
}

func toAttempt(a gateway.AttemptID) *gatewaypb.AttemptID {
	return &gatewaypb.AttemptID{
		Job: string(a.Job), Task: a.Task, Subtask: int64(a.Subtask), Epoch: int64(a.Epoch), N: int64(a.N),
	}
}

func fromAttempt(p *gatewaypb.AttemptID) gateway.AttemptID {
	return gateway.AttemptID{
		Job: job.ID(p.GetJob()), Task: p.GetTask(), Subtask: int(p.GetSubtask()),
		Epoch: leader.Epoch(p.GetEpoch()), N: int(p.GetN()),
	}
}

func toEnd(e gateway.AttemptEnd) *gatewaypb.AttemptEnd {
	p := &gatewaypb.AttemptEnd{
		Attempt: toAttempt(e.Attempt), Outcome: string(e.Outcome), Output: []byte(e.Output), Reason: text(e.Reason), Result: e.Result,
	}
	if e.ExitCode != nil {
		code := int64(*e.ExitCode)
		p.ExitCode = &code
	}
	return p
}

func fromEnd(p *gatewaypb.AttemptEnd) gateway.AttemptEnd {
	e := gateway.AttemptEnd{
		Attempt: fromAttempt(p.GetAttempt()), Outcome: gateway.Outcome(p.GetOutcome()),
		Output: string(p.GetOutput()), Reason: p.GetReason(), Result: p.GetResult(),
	}
	if p.ExitCode != nil {
		code := int(p.GetExitCode())
		e.ExitCode = &code
	}
	return e
}

func toSlot(s gateway.Slot) string   { return string(s) }
func fromSlot(p string) gateway.Slot { return gateway.Slot(p) }

func toSlots(all []gateway.Slot) *gatewaypb.SlotList {
	return &gatewaypb.SlotList{Slots: each(all, toSlot)}
}

func fromSlots(p *gatewaypb.SlotList) []gateway.Slot { return each(p.GetSlots(), fromSlot) }

func toNeed(n gateway.Need) *gatewaypb.Need {
	return &gatewaypb.Need{Requires: n.Requires, Count: int64(n.Count)}
}

func fromNeed(p *gatewaypb.Need) gateway.Need {
	return gateway.Need{Requires: p.GetRequires(), Count: int(p.GetCount())}
}

func toReport(r gateway.WorkerReport) *gatewaypb.WorkerReport {
	return &gatewaypb.WorkerReport{
		Slots: int64(r.Slots), Draining: r.Draining,
		Allocated: each(r.Allocated, func(a gateway.Allocation) *gatewaypb.Allocation {
			return &gatewaypb.Allocation{Slot: string(a.Slot), Job: string(a.Job)}
		}),
	}
}

func fromReport(p *gatewaypb.WorkerReport) gateway.WorkerReport {
	return gateway.WorkerReport{
		Slots: int(p.GetSlots()), Draining: p.GetDraining(),
		Allocated: each(p.GetAllocated(), func(a *gatewaypb.Allocation) gateway.Allocation {
			return gateway.Allocation{Slot: gateway.Slot(a.GetSlot()), Job: job.ID(a.GetJob())}
		}),
	}
}

func toMetrics(all []gateway.Metric) *gatewaypb.MetricsReply {
	return &gatewaypb.MetricsReply{Metrics: each(all, func(m gateway.Metric) *gatewaypb.Metric {
		return &gatewaypb.Metric{Name: m.Name, Labels: m.Labels, Value: m.Value}
	})}
}

func fromMetrics(p *gatewaypb.MetricsReply) []gateway.Metric {
	return each(p.GetMetrics(), func(m *gatewaypb.Metric) gateway.Metric {
		return gateway.Metric{Name: m.GetName(), Labels: m.GetLabels(), Value: m.GetValue()}
	})
}

// nothing is the answer of methods that have none.
func nothing(err error) (*gatewaypb.Empty, error) {
	if err != nil {
		return nil, err
	}
	return &gatewaypb.Empty{}, nil
}
