package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// fault is one kind of strike.
type fault struct {
	name string
	// share is how many of a deck's cards are of this kind, and also how many a run
	// must have of it a minute.
	share  int
	strike func(*injector) (undo, bool)
}

// undo ends a fault at its time.
type undo struct {
	at time.Time
	do func() error
}

func faults() []fault {
	return []fault{
		{"agent_kill", 2, func(i *injector) (undo, bool) { return i.kill(i.agent) }},
		{"agent_stop", 1, func(i *injector) (undo, bool) { return i.stop(i.agent) }},
		{"agent_pause_beyond_session", 2, func(i *injector) (undo, bool) { return i.pause(i.agent, i.timeout*5/4, i.timeout*5/2) }},
		{"agent_pause_within_session", 1, func(i *injector) (undo, bool) { return i.pause(i.agent, i.timeout/20, i.timeout/2) }},
		{"worker_kill", 1, func(i *injector) (undo, bool) { return i.kill(i.worker) }},
		{"worker_stop", 1, func(i *injector) (undo, bool) { return i.stop(i.worker) }},
		{"worker_pause", 1, func(i *injector) (undo, bool) { return i.pause(i.worker, i.timeout/2, i.timeout*5/2) }},
		{"worker_link_cut", 1, func(i *injector) (undo, bool) { return i.breakLink(i.worker, (*zookeepertest.Proxy).Cut) }},
		{"server_kill", 1, func(i *injector) (undo, bool) { return i.strikeServers(1, true) }},
		{"server_pause", 1, func(i *injector) (undo, bool) { return i.strikeServers(1, false) }},
		{"quorum_loss", 1, func(i *injector) (undo, bool) { return i.strikeServers(2, i.rng.IntN(2) == 0) }},
		{"link_cut", 1, func(i *injector) (undo, bool) { return i.breakLink(i.agent, (*zookeepertest.Proxy).Cut) }},
		{"link_freeze", 1, (*injector).freezeLink},
		{"link_drop", 1, (*injector).dropLink},
	}
}

// paused says when a member was stopped and continued.
type paused struct {
	id       string
	pid      int
	from, to time.Time
}

// injector strikes. It is used by the goroutine of the run alone.
type injector struct {
	*world
	settings
	rng *rand.Rand
	// deck holds the kinds that come next; struck are the victims of faults that
	// have not ended, and pending what ends them.
	deck    []fault
	struck  map[any]bool
	pending []undo
	counts  map[string]int
	pauses  []paused
	err     error
}

func newInjector(w *world, s settings) *injector {
	return &injector{
		world: w, settings: s, rng: rand.New(rand.NewPCG(s.seed, 0)),
		struck: make(map[any]bool), counts: make(map[string]int),
	}
}

// run strikes for as long as the settings say, and then ends all faults.
func (i *injector) run(ctx context.Context) error {
	const look = 10 * time.Millisecond
	end := time.Now().Add(i.duration)
	next := time.Now().Add(i.gap)
	for time.Now().Before(end) && i.err == nil && pause(ctx, look) {
		now := time.Now()
		i.undoUntil(now)
		i.revive()
		if now.After(next) {
			i.strike()
			next = time.Now().Add(i.between(i.gap/5, i.gap*9/5))
		}
	}
	for _, u := range i.pending {
		i.check(u.do())
	}
	i.pending = nil
	i.revive()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return i.err
}

// strike lets the next kind of the deck happen that has a victim.
func (i *injector) strike() {
	if len(i.deck) == 0 {
		for _, f := range faults() {
			for range f.share {
				i.deck = append(i.deck, f)
			}
		}
		i.rng.Shuffle(len(i.deck), func(a, b int) { i.deck[a], i.deck[b] = i.deck[b], i.deck[a] })
	}
	for n, f := range i.deck {
		if u, ok := f.strike(i); ok {
			i.counts[f.name]++
			i.pending = append(i.pending, u)
			i.deck = append(i.deck[:n:n], i.deck[n+1:]...)
			return
		}
	}
}

// undoUntil ends the faults that are due.
func (i *injector) undoUntil(now time.Time) {
	var later []undo
	for _, u := range i.pending {
		if u.at.After(now) {
			later = append(later, u)
			continue
		}
		i.check(u.do())
	}
	i.pending = later
}

// revive starts members again that ended by themselves, as a supervisor would: one
// whose contender overran its grace must end.
func (i *injector) revive() {
	for _, a := range i.members() {
		if !i.struck[a] && !a.running() {
			i.counts["ended_by_itself"]++
			i.check(a.start())
		}
	}
}

func (i *injector) check(err error) {
	if i.err == nil {
		i.err = err
	}
}

func (i *injector) between(least, most time.Duration) time.Duration {
	return least + time.Duration(i.rng.Int64N(int64(most-least)+1))
}

// hold marks the victims until the fault ends.
func (i *injector) hold(d time.Duration, end func() error, victims ...any) undo {
	for _, v := range victims {
		i.struck[v] = true
	}
	return undo{at: time.Now().Add(d), do: func() error {
		for _, v := range victims {
			delete(i.struck, v)
		}
		return end()
	}}
}

// agent returns a coordinator that nothing has struck, half of the times the leader; nil
// if there is none.
func (i *injector) agent() *agent {
	if a := i.leads.Load(); a != nil && i.rng.IntN(2) == 0 && !i.struck[a] {
		return a
	}
	return i.any(i.agents)
}

// worker is agent for workers.
func (i *injector) worker() *agent { return i.any(i.workers) }

func (i *injector) any(of []*agent) *agent {
	for _, n := range i.rng.Perm(len(of)) {
		if a := of[n]; !i.struck[a] {
			return a
		}
	}
	return nil
}

func (i *injector) kill(victim func() *agent) (undo, bool) {
	a := victim()
	if a == nil {
		return undo{}, false
	}
	i.check(a.kill())
	return i.hold(i.between(0, i.timeout), a.start, a), true
}

func (i *injector) stop(victim func() *agent) (undo, bool) {
	a := victim()
	if a == nil {
		return undo{}, false
	}
	i.check(a.signal(syscall.SIGTERM))
	return i.hold(i.between(i.timeout/2, i.timeout), func() error {
		if err := a.kill(); err != nil { // it may be slow to stop
			return err
		}
		return a.start()
	}, a), true
}

func (i *injector) pause(victim func() *agent, least, most time.Duration) (undo, bool) {
	a := victim()
	if a == nil {
		return undo{}, false
	}
	i.check(a.signal(syscall.SIGSTOP))
	from, pid := time.Now(), a.cmd.Process.Pid
	return i.hold(i.between(least, most), func() error {
		i.pauses = append(i.pauses, paused{id: a.id, pid: pid, from: from, to: time.Now()})
		return a.signal(syscall.SIGCONT)
	}, a), true
}

// strikeServers kills or pauses n servers, when no other is struck.
func (i *injector) strikeServers(n int, kill bool) (undo, bool) {
	for _, s := range i.ensemble.Servers {
		if i.struck[s] {
			return undo{}, false
		}
	}
	var victims []any
	var ends []func()
	for _, k := range i.rng.Perm(len(i.ensemble.Servers))[:n] {
		s := i.ensemble.Servers[k]
		victims = append(victims, s)
		if kill {
			s.Kill()
			ends = append(ends, s.Start)
		} else {
			s.Pause()
			ends = append(ends, s.Resume)
		}
	}
	return i.hold(i.between(i.timeout/4, i.timeout*3/2), func() error {
		for _, end := range ends {
			end()
		}
		return nil
	}, victims...), true
}

// breakLink does something to all connections of a member with its servers.
func (i *injector) breakLink(victim func() *agent, break1 func(*zookeepertest.Proxy)) (undo, bool) {
	a := victim()
	if a == nil {
		return undo{}, false
	}
	for _, p := range a.proxies {
		break1(p)
	}
	return i.hold(i.between(i.timeout/10, i.timeout*3/2), func() error {
		for _, p := range a.proxies {
			p.Heal()
		}
		return nil
	}, a), true
}

// freezeLink lets nothing through, or nothing one way: requests are carried out then
// and their answers are lost, or the other way round.
func (i *injector) freezeLink() (undo, bool) {
	direction := []zookeepertest.Direction{zookeepertest.ToServer, zookeepertest.ToClient, zookeepertest.Both}[i.rng.IntN(3)]
	return i.breakLink(i.agent, func(p *zookeepertest.Proxy) { p.Freeze(direction) })
}

func (i *injector) dropLink() (undo, bool) {
	u, ok := i.breakLink(i.agent, (*zookeepertest.Proxy).Drop)
	u.at = time.Now()
	return u, ok
}

// tooFew says of which faults a run of this length should have had more.
func (i *injector) tooFew() []string {
	var missing []string
	for _, f := range faults() {
		if want := max(1, int(float64(f.share)*i.duration.Minutes())); i.counts[f.name] < want {
			missing = append(missing, fmt.Sprintf("too little was injected: %s %d times, want %d", f.name, i.counts[f.name], want))
		}
	}
	return missing
}
