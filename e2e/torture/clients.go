package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

const (
	// answerLimit bounds each request, so that a paused node holds a client up and
	// not for long.
	answerLimit = 3 * time.Second
	// observeEvery is how often each node is asked who leads.
	observeEvery = 100 * time.Millisecond
	// again is how often, and after how long, a client asks again for a job that a
	// node does not know: one that was paused may answer before it knows that its
	// term is over.
	again      = 5
	againAfter = time.Second
)

// customer is one client. It is used by one goroutine.
type customer struct {
	ledger *ledger
	nodes  []*client.Client
	runs   string // where commands write down that they started
	rng    *rand.Rand
	pace   time.Duration // the mean pause between two requests
}

// run asks random things of random nodes until ctx ends.
func (c *customer) run(ctx context.Context) {
	for pause(ctx, time.Duration(c.rng.Int64N(int64(2*c.pace)))) {
		node := c.nodes[c.rng.IntN(len(c.nodes))]
		switch n := c.rng.IntN(100); {
		case n < 65:
			c.submit(ctx, node, c.ledger.add(c.kind()))
		case n < 75:
			if e, ok := c.ledger.pick(c.rng, recent, false); ok {
				c.ledger.count("repeated")
				c.submit(ctx, node, e)
			}
		case n < 82:
			if e, ok := c.ledger.pick(c.rng, recent, true); ok {
				c.conflict(ctx, node, e)
			}
		case n < 90:
			if e, ok := c.ledger.pick(c.rng, newest, true); ok {
				c.cancel(ctx, node, e)
			}
		default:
			if e, ok := c.ledger.pick(c.rng, recent, true); ok {
				c.ask(ctx, node, e)
			}
		}
	}
}

func (c *customer) kind() kind {
	return []kind{quick, quick, quick, quick, slow, slow, flaky, failing}[c.rng.IntN(8)]
}

// submit submits a job under its content. One request in ten is given up early: its
// answer is lost, whatever became of it.
func (c *customer) submit(ctx context.Context, node *client.Client, e entry) {
	limit := answerLimit
	if c.rng.IntN(10) == 0 {
		limit = time.Duration(1+c.rng.IntN(20)) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c.ledger.count("submissions")
	snap, _, err := node.Submit(ctx, e.id, e.kind.content(c.runs, 0))
	switch {
	case err == nil:
		c.ledger.update(e.id, func(e *entry) { e.acked = true })
		c.ledger.end(snap)
	case errors.Is(err, client.ErrConflict):
		c.ledger.violated("I6", "job %s was refused as other content: %v", e.id, err)
	case limit < answerLimit && errors.Is(err, context.DeadlineExceeded):
		c.ledger.count("answers_lost")
	default:
		c.refused(e.id, err)
	}
}

// refused counts an answer that is no yes, and takes a job file that is called wrong
// for a mistake.
func (c *customer) refused(id job.ID, err error) {
	var answer *client.Error
	if errors.As(err, &answer) && answer.Status < http.StatusInternalServerError && answer.Status != http.StatusTooManyRequests {
		c.ledger.violated("run", "job %s was refused: %v", id, err)
	}
	c.ledger.count("unanswered")
}

// conflict submits an acknowledged ID with other content.
func (c *customer) conflict(ctx context.Context, node *client.Client, e entry) {
	c.ledger.count("conflicts")
	_, _, err := node.Submit(ctx, e.id, e.kind.content(c.runs, 1))
	if err == nil {
		c.ledger.violated("I6", "job %s was accepted with other content", e.id)
	} else if !errors.Is(err, client.ErrConflict) {
		c.refused(e.id, err)
	}
}

// cancel asks an acknowledged job to stop.
func (c *customer) cancel(ctx context.Context, node *client.Client, e entry) {
	c.ledger.count("cancels")
	c.ledger.update(e.id, func(e *entry) { e.canceled = true })
	c.known(ctx, node, e, func(n *client.Client) error { _, err := n.Cancel(ctx, e.id); return err })
}

// ask asks for an acknowledged job.
func (c *customer) ask(ctx context.Context, node *client.Client, e entry) {
	c.known(ctx, node, e, func(n *client.Client) error {
		snap, err := n.Job(ctx, e.id)
		if err == nil {
			c.ledger.end(snap)
		}
		return err
	})
}

// known asks something of an acknowledged job, which must not stay unknown.
func (c *customer) known(ctx context.Context, node *client.Client, e entry, ask func(*client.Client) error) {
	err := ask(node)
	for range again {
		if !errors.Is(err, client.ErrNoJob) || !pause(ctx, againAfter) {
			break
		}
		c.ledger.count("unknown_at_first")
		err = ask(c.nodes[c.rng.IntN(len(c.nodes))])
	}
	if errors.Is(err, client.ErrNoJob) && ctx.Err() == nil {
		c.ledger.violated("I6", "job %s was acknowledged and is not known: %v", e.id, err)
	}
}

// observe asks one node who leads until ctx ends. A process never names an older
// leader than before.
func observe(ctx context.Context, w *world, a *agent, node *client.Client, l *ledger) {
	var last leader.Epoch
	life := a.life.Load()
	for pause(ctx, observeEvery) {
		before := a.life.Load()
		known, err := node.Leader(ctx, leader.Dispatcher)
		if err != nil || a.life.Load() != before {
			continue
		}
		if before != life {
			life, last = before, 0
		}
		if known.IsSelf {
			w.leads.Store(a)
		}
		if epoch := known.Leader.Epoch; epoch < last {
			l.violated("I5", "%s names the leader of epoch %v after that of %v", a.id, epoch, last)
		} else {
			last = epoch
		}
	}
}

// pause waits and reports whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
