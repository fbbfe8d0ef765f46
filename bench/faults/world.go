package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// patience bounds each wait, so that a benchmark fails and does not hang.
const patience = time.Minute

// world is the ensemble, with a proxy before each server for the process that is
// struck.
type world struct {
	settings
	ensemble *zookeepertest.Ensemble
	proxies  []*zookeepertest.Proxy
}

func newWorld(tb zookeepertest.TB, s settings) *world {
	w := &world{settings: s, ensemble: zookeepertest.StartEnsemble(tb, 3, zookeepertest.TickTime(s.tick), zookeepertest.SyncLimit(s.syncLimit))}
	for _, server := range w.ensemble.Servers {
		w.proxies = append(w.proxies, zookeepertest.StartProxy(tb, server.Addr()))
	}
	return w
}

// measure strikes in all rounds and returns the slowest figures.
func (w *world) measure(ctx context.Context, f fault) (cost, error) {
	c := cost{Fault: f.name, Rounds: w.rounds}
	for range w.rounds {
		o, err := w.round(ctx, f)
		for errors.Is(err, errAgain) {
			o, err = w.round(ctx, f)
		}
		if err != nil {
			return c, err
		}
		if o.kept {
			c.Kept++
		}
		c.Ended, c.Led, c.Back = max(c.Ended, ms(o.ended)), max(c.Led, ms(o.led)), max(c.Back, ms(o.back))
	}
	return c, nil
}

// scene is one round: the victim leads, and the heir stands behind it.
type scene struct {
	*world
	root     string
	observer *rig.Bare
	victim   *process
	led      chan time.Time
}

// round sets the scene, strikes, and waits for what comes of it.
func (w *world) round(ctx context.Context, f fault) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w.ensemble.WaitHealthy()
	e := rig.Ensemble{Servers: w.ensemble.Addrs(), SessionTimeout: w.timeout}
	sc := &scene{world: w, root: "/faults-" + uuid.NewString(), led: make(chan time.Time, 1)}
	if sc.observer, err = e.Open(ctx); err != nil {
		return o, err
	}
	defer sc.observer.Close()
	if err := sc.observer.Ensure(sc.root); err != nil {
		return o, err
	}
	if sc.victim, err = w.start(ctx, sc.root); err != nil {
		return o, err
	}
	defer sc.victim.kill()
	if _, err := sc.victim.await(ctx, saysLeads); err != nil {
		return o, err
	}
	var running sync.WaitGroup
	defer running.Wait()
	heirCtx, stop := context.WithCancel(ctx)
	defer stop()
	if err := sc.inherit(heirCtx, &running); err != nil {
		return o, err
	}
	if err := sc.observer.AwaitChildren(ctx, sc.root+"/latch", 2); err != nil {
		return o, err
	}
	// The victim renews every T/8: strike at some time between, once it has settled.
	if err := rig.Pause(ctx, w.timeout/2); err != nil {
		return o, err
	}
	return sc.strike(ctx, f)
}

// strike has the fault happen, and returns what came of it.
func (sc *scene) strike(ctx context.Context, f fault) (o outcome, err error) {
	var t target
	if f.aim != nil {
		if t, err = f.aim(sc); err != nil {
			return o, err
		}
	}
	if f.undo != nil {
		defer f.undo(sc, t)
	}
	struck := time.Now()
	if err := f.strike(sc, t); err != nil {
		return o, err
	}
	return sc.outcome(ctx, f, struck)
}

// inherit starts the one that is next, on the servers themselves.
func (sc *scene) inherit(ctx context.Context, running *sync.WaitGroup) error {
	client, elector, err := contender(sc.settings, sc.ensemble.Addrs(), sc.root, "heir", nil)
	if err != nil {
		return err
	}
	heir := election.ContenderFunc(func(ctx context.Context, _ *election.Term) error {
		select {
		case sc.led <- time.Now():
		default:
		}
		<-ctx.Done()
		return nil
	})
	running.Go(func() { // the error is ctx's
		_ = client.While(ctx, func(ctx context.Context) error { return elector.Run(ctx, heir) })
	})
	return nil
}

// outcome is what a fault led to, from when it struck.
type outcome struct {
	kept             bool
	ended, led, back time.Duration
}

// outcome waits until the heir leads and the victim knows that it does not; or until
// the victim has been connected again for T, and leads.
func (sc *scene) outcome(ctx context.Context, f fault, struck time.Time) (o outcome, err error) {
	suspended := false
	var stays <-chan time.Time
	for {
		select {
		case at := <-sc.led:
			o.led, stays = at.Sub(struck), nil
			if f.wake != nil {
				if err := f.wake(sc); err != nil {
					return o, err
				}
			}
		case said, ok := <-sc.victim.said:
			switch {
			case !ok:
				sc.victim.said = nil
				o.ended = -1
			case said.word == saysEnded:
				o.ended, stays = said.at.Sub(struck), nil
			case said.word == saysState && said.rest != "connected":
				suspended, stays = true, nil
			case said.word == saysState && suspended && o.ended == 0:
				o.back = said.at.Sub(struck)
				stays = time.After(sc.timeout)
			}
		case <-stays:
			o.kept = true
			return o, nil
		case <-ctx.Done():
			return o, fmt.Errorf("so far: term ended %v, next one leads %v, connected again %v: %w", o.ended, o.led, o.back, context.Cause(ctx))
		}
		if o.led > 0 && o.ended != 0 {
			o.ended, o.back = max(o.ended, 0), 0
			return o, nil
		}
	}
}

// process is the victim.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	said chan line
	// server is the index of the one that it is connected to.
	server int
	world  *world
}

// line is what it said.
type line struct {
	at         time.Time
	word, rest string
}

// start starts this program as the victim.
func (w *world) start(ctx context.Context, root string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, p := range w.proxies {
		p.Heal()
		addrs = append(addrs, p.Addr())
	}
	cmd := exec.CommandContext(ctx, self, //nolint:gosec // it is this program
		"--victim", strings.Join(addrs, ","), "--root", root,
		"--session-timeout", w.timeout.String(), "--stop-grace", w.grace.String(),
		"--tick", w.tick.String(), fmt.Sprintf("--tell-tick=%t", w.tell))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the leader: %w", err)
	}
	p := &process{cmd: cmd, in: in, said: make(chan line, 1000), world: w}
	go p.listen(out)
	return p, nil
}

// listen passes on what the process says, until it has ended.
func (p *process) listen(out io.Reader) {
	defer close(p.said)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var l line
		var nanos int64
		if _, err := fmt.Sscanf(lines.Text(), "%d %s", &nanos, &l.word); err != nil {
			continue // a crash, which standard error describes
		}
		_, l.rest, _ = strings.Cut(lines.Text(), l.word+" ")
		l.at = time.Unix(0, nanos)
		p.said <- l
	}
}

// await returns the next line with the word, and notes on the way where the process
// is connected.
func (p *process) await(ctx context.Context, word string) (line, error) {
	for {
		select {
		case l, ok := <-p.said:
			if !ok {
				return l, fmt.Errorf("the leader ended before it said %q", word)
			}
			if l.word == saysDialled {
				for i, proxy := range p.world.proxies {
					if proxy.Addr() == l.rest {
						p.server = i
					}
				}
			}
			if l.word == word {
				return l, nil
			}
		case <-ctx.Done():
			return line{}, fmt.Errorf("the leader did not say %q: %w", word, context.Cause(ctx))
		}
	}
}

// signal sends a signal to the process.
func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to the leader: %w", sig, err)
	}
	return nil
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.in.Close()         // it would only end the process sooner
	_ = p.cmd.Process.Kill() // it may have ended
	if p.said != nil {
		for range p.said { // Wait closes the pipe under its reader
		}
	}
	_ = p.cmd.Wait() // it says that the process was killed
}
