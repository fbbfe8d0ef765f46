package coordinator

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// request is what a client asked about one job: to submit the command, or for the
// status without one.
type request struct {
	id      job.ID
	command string
}

// reply is what it was told.
type reply struct {
	kind replyKind
	end  string // of a job that has ended: how
}

type replyKind int

const (
	unknown  replyKind = iota // it may have been done, or be done yet
	noJob                     // there is no such job
	conflict                  // another content has this ID
	there                     // the job is there
)

// register is what a job ID holds: a content, once accepted for good, and how the job
// ended, once it is known. The end is nobody's request: it comes before the first
// reply that tells of it.
type register struct{ command, end string }

// step returns what the register holds after the request, and whether the reply can
// be one to it.
func (r register) step(q request, a reply) (register, bool) {
	if q.command != "" && r.command == "" && (a.kind == there || a.kind == unknown) {
		r.command = q.command
	}
	switch a.kind {
	case unknown:
		return r, true
	case noJob:
		return r, r.command == "" && q.command == ""
	case conflict:
		return r, r.command != "" && q.command != "" && r.command != q.command
	default:
	}
	if r.command == "" || q.command != "" && r.command != q.command {
		return r, false
	}
	if r.end == "" {
		r.end = a.end
	}
	return r, r.end == a.end
}

// jobModel is a register for each job ID.
func jobModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			byID := make(map[job.ID][]porcupine.Operation)
			for _, op := range all {
				id := op.Input.(request).id //nolint:forcetypeassert // no other is made
				byID[id] = append(byID[id], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byID {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return register{} },
		Step: func(state, in, out any) (bool, any) {
			next, ok := state.(register).step(in.(request), out.(reply)) //nolint:forcetypeassert // as above
			return ok, next
		},
	}
}

// observer asks members, whoever leads, and keeps when it asked and was answered.
type observer struct {
	*schedule
	mu  sync.Mutex
	ops []porcupine.Operation
}

// ask sends one request to any member that answers.
func (o *observer) ask(client int, dice *rand.Rand) {
	q := request{id: job.ID(fmt.Sprint("job-", dice.IntN(40)))}
	command, pick := []string{"true", "true", "false", "", "", "", ""}[dice.IntN(7)], dice.IntN(100)
	q.command = command
	var serving []*Dispatcher
	for _, m := range o.all() {
		if g, err := m.runner.Dispatcher(); err == nil {
			serving = append(serving, g.(*Dispatcher)) //nolint:forcetypeassert // as above
		}
	}
	if len(serving) == 0 {
		return
	}
	d := serving[pick%len(serving)]
	ctx, cancel := o.shortly()
	defer cancel()
	op := porcupine.Operation{ClientId: client, Input: q, Call: time.Now().UnixNano()}
	var snap job.Snapshot
	var err error
	if q.command != "" {
		snap, _, err = d.Submit(ctx, submission(q.id, q.command))
	} else {
		snap, err = d.Job(ctx, q.id)
	}
	op.Return = time.Now().UnixNano()
	a := reply{kind: there}
	switch {
	case err == nil && snap.Status.Terminal():
		a.end = outcome(snap)
	case err == nil:
	case errors.Is(err, gateway.ErrConflict):
		a.kind = conflict
	case errors.Is(err, gateway.ErrNoJob):
		a.kind = noJob
	default:
		a.kind, op.Return = unknown, math.MaxInt64
	}
	op.Output = a
	o.count(fmt.Sprint("reply ", a.kind))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ops = append(o.ops, op)
}

// befallOne disturbs a member, as befall does, without ending sessions that their
// owner cannot hear of: that no server does before the lease has run out.
func (o *observer) befallOne(dice *rand.Rand) {
	kind, long := dice.IntN(4), time.Duration(dice.Int64N(int64(30*time.Second)))
	_, m := o.leading()
	if m == nil {
		return
	}
	switch kind {
	case 0:
		o.count("death")
		m.kill()
		m.cancel()
		o.replace()
	case 1, 2:
		o.count("cut")
		m.cut()
		o.wg.Go(func() {
			<-time.After(long + 17*time.Nanosecond)
			m.mend()
		})
	default:
		o.count("drop")
		m.drop()
	}
}

// TestSubmitAndStatusAreLinearizableOverFailovers has clients submit two contents
// under few IDs and ask for their status, of whichever member answers, while leaders
// die and are cut off.
func TestSubmitAndStatusAreLinearizableOverFailovers(t *testing.T) {
	for name, newLand := range lands() {
		t.Run(name, func(t *testing.T) {
			total := make(map[string]int)
			for seed := uint64(1); seed <= 8 && !t.Failed(); seed++ {
				synctest.Test(t, func(t *testing.T) {
					o := &observer{schedule: newSchedule(t, newLand(t), seed)}
					o.retention.Count = -1
					o.observe()
					if got := porcupine.CheckOperationsTimeout(jobModel(), o.ops, 0); got != porcupine.Ok {
						t.Errorf("seed %d: %d requests are not linearizable: %v", seed, len(o.ops), got)
					}
					for what, n := range o.did {
						total[what] += n
					}
				})
			}
			t.Log(total)
			for _, what := range []string{"death", "cut", "reply 0", "reply 1", "reply 2", "reply 3"} {
				if total[what] < 10 {
					t.Errorf("%s: %d times in all: too seldom for this to mean anything", what, total[what])
				}
			}
		})
	}
}

// observe runs the members, the clients and what befalls.
func (o *observer) observe() {
	for _, id := range []string{"one", "two", "three"} {
		o.start(id)
	}
	var wg sync.WaitGroup
	for client := range 6 {
		o.actor(&wg, uint64(21+client), time.Second, func(dice *rand.Rand) { o.ask(client, dice) })
	}
	o.actor(&wg, 31, 15*time.Second, o.befallOne)
	wg.Wait()
}

func TestTheModelOfJobsRefusesWhatMustNotBe(t *testing.T) {
	submit, other, status := request{"a", "true"}, request{"a", "false"}, request{"a", ""}
	ok, ended, none := reply{kind: there}, reply{there, "FINISHED"}, reply{kind: noJob}
	type told struct {
		q request
		a reply
	}
	for name, c := range map[string]struct {
		want bool
		all  []told
	}{
		"a life":                     {true, []told{{status, none}, {submit, ok}, {status, ok}, {other, reply{kind: conflict}}, {status, ended}, {submit, ended}}},
		"done though nobody knew":    {true, []told{{submit, reply{}}, {status, ok}}},
		"not done and nobody knew":   {true, []told{{submit, reply{}}, {status, none}, {other, ok}}},
		"an accepted job is lost":    {false, []told{{submit, ok}, {status, none}}},
		"two contents are accepted":  {false, []told{{submit, ok}, {other, ok}}},
		"a conflict with nothing":    {false, []told{{submit, reply{kind: conflict}}}},
		"an end is taken back":       {false, []told{{submit, ok}, {status, ended}, {status, ok}}},
		"another end":                {false, []told{{submit, ended}, {status, reply{there, "FAILED"}}}},
		"a job that nobody sent":     {false, []told{{status, ok}}},
		"a conflict with an unknown": {true, []told{{submit, reply{}}, {other, reply{kind: conflict}}}},
	} {
		var ops []porcupine.Operation
		for i, x := range c.all {
			op := porcupine.Operation{Input: x.q, Output: x.a, Call: int64(2 * i), Return: int64(2*i + 1)}
			if x.a.kind == unknown {
				op.Return = math.MaxInt64
			}
			ops = append(ops, op)
		}
		if got := porcupine.CheckOperations(jobModel(), ops); got != c.want {
			t.Errorf("%s: linearizable is %v, want %v", name, got, c.want)
		}
	}
}
