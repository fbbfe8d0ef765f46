package taskexecutor

import (
	"fmt"
	"slices"

	"github.com/coordd/coordd/cluster/gateway"
)

// The bounds of what is kept and sent. A message has at most 10 MiB.
const (
	// maxKept and maxKeptBytes are how many ends may wait to be settled before further
	// attempts wait to start. What runs then still ends, so the number of slots comes
	// on top.
	maxKept      = 10_000
	maxKeptBytes = 16 << 20
	// maxBatch and maxBatchBytes bound one AttemptsEnded.
	maxBatch      = 1000
	maxBatchBytes = 4 << 20
	// maxReportBytes bounds the ends in the report at a registration.
	maxReportBytes = 6 << 20
	// endOverhead is what an end takes beyond its texts, about.
	endOverhead = 200
)

// keptEnd is the end of an attempt that the job's master has not settled.
type keptEnd struct {
	end  gateway.AttemptEnd
	slot gateway.Slot
	// flight is the number of the batch that carries it, zero while it is queued.
	flight int64
	// gone says that it was settled.
	gone bool
}

// size is what the end takes in memory and in messages, about.
func (k *keptEnd) size() int { return bare(k.end) + len(k.end.Output) + len(k.end.Result) }

func bare(end gateway.AttemptEnd) int {
	return endOverhead + len(end.Attempt.Job) + len(end.Attempt.Task) + len(end.Reason)
}

// store counts what is kept, of all jobs.
type store struct {
	ends, bytes int
}

func (s store) full() bool { return s.ends >= maxKept || s.bytes >= maxKeptBytes }

// batch is what one AttemptsEnded carries.
type batch struct {
	flight int64
	kept   []*keptEnd
}

func (b batch) ends() []gateway.AttemptEnd {
	ends := make([]gateway.AttemptEnd, len(b.kept))
	for i, k := range b.kept {
		ends[i] = k.end
	}
	return ends
}

// keep keeps an end until it is settled.
func (s *state) keep(t *tenant, end gateway.AttemptEnd, slot gateway.Slot) {
	k := &keptEnd{end: end, slot: slot}
	t.kept[end.Attempt] = k
	t.queue = append(t.queue, k)
	s.kept.ends++
	s.kept.bytes += k.size()
	t.link.wake()
}

// settle forgets an end, and lets an attempt start that waited for its place.
func (s *state) settle(t *tenant, k *keptEnd) {
	if k.gone {
		return
	}
	k.gone = true
	delete(t.kept, k.end.Attempt)
	s.kept.ends--
	s.kept.bytes -= k.size()
	for len(s.waiting) > 0 && !s.kept.full() {
		close(s.waiting[0].begin)
		s.waiting = slices.Delete(s.waiting, 0, 1)
	}
}

// keptEnd returns the end of an attempt if it is kept.
func (s *state) keptEnd(id gateway.AttemptID) *keptEnd {
	if t := s.tenants[id.Job]; t != nil {
		return t.kept[id]
	}
	return nil
}

// takeEnds returns queued ends of a job for one call, oldest first.
func (s *state) takeEnds(t *tenant) batch {
	s.flights++
	b := batch{flight: s.flights}
	bytes := 0
	for len(t.queue) > 0 && len(b.kept) < maxBatch {
		k := t.queue[0]
		if !k.gone {
			if bytes += k.size(); bytes > maxBatchBytes && len(b.kept) > 0 {
				break
			}
			k.flight = b.flight
			b.kept = append(b.kept, k)
		}
		t.queue[0] = nil
		t.queue = t.queue[1:]
	}
	return b
}

// delivered takes in what became of a batch: settled, or to be sent again. An end
// that was queued again meanwhile, for another connection, is in its hands.
func (s *state) delivered(t *tenant, b batch, settled bool) {
	if t.released {
		return // and all its ends with it
	}
	var again []*keptEnd
	for _, k := range b.kept {
		switch {
		case settled:
			s.settle(t, k)
		case !k.gone && k.flight == b.flight:
			k.flight = 0
			again = append(again, k)
		}
	}
	t.queue = append(again, t.queue...)
	s.review(t)
}

// requeue has all ends sent that are kept, whoever has sent them before.
func (t *tenant) requeue() {
	for _, k := range t.kept {
		if k.flight != 0 {
			k.flight = 0
			t.queue = append(t.queue, k)
		}
	}
}

// reportEnds adds the kept ends to a report, within the limit of a message. First the
// output gives way. What still does not fit is reported as if it ran: its end follows
// by AttemptsEnded like that of any attempt. The master takes up one attempt of a slot
// only, so each has another: if need be one that never was, into which it can deploy
// nothing.
func (s *state) reportEnds(t *tenant, r *gateway.JobReport) {
	taken := make(map[gateway.Slot]bool, len(r.Running))
	for i := range r.Running {
		taken[r.Running[i].Slot] = true
	}
	whole, lean := 0, 0
	for _, k := range t.kept {
		whole += k.size()
		lean += k.size() - len(k.end.Output)
	}
	bytes := 0
	for id, k := range t.kept {
		end := k.end
		if whole > maxReportBytes {
			end.Output = ""
		}
		bytes += bare(end) + len(end.Output) + len(end.Result)
		if min(whole, lean) > maxReportBytes && bytes > maxReportBytes {
			bytes -= len(end.Result)
			slot := k.slot
			if taken[slot] {
				slot = gateway.Slot(fmt.Sprintf("%s/%s/%d/%d/%d", slot, id.Task, id.Subtask, id.Epoch, id.N))
			}
			taken[slot] = true
			r.Running = append(r.Running, gateway.RunningAttempt{Attempt: id, Slot: slot})
			continue
		}
		r.Ended = append(r.Ended, end)
	}
}

// masterReplied takes in the answer of a job's master to the report of what is here.
func (s *state) masterReplied(t *tenant, reply gateway.JobReply) {
	t.link.phase = linkRegistered
	s.peers.Monitor(t.link, s.cfg.HeartbeatTimeout)
	for _, a := range reply.Unwanted {
		if running := t.running[a]; running != nil {
			running.forgotten = true
			running.cancel("the job's master does not want it")
		}
		if k := t.kept[a]; k != nil {
			s.settle(t, k)
		}
	}
	for _, a := range reply.Settled {
		if k := t.kept[a]; k != nil {
			s.settle(t, k)
		}
	}
	for _, name := range reply.Refused {
		if h := t.slots[name]; h != nil {
			s.free(h)
		}
	}
	t.requeue()
	s.review(t)
	t.link.wake()
	t.link.offer()
}
