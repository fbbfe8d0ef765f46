package contest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
)

// crashes kills leaders with SIGKILL and has a contender of this process follow.
func (p Peer) crashes(ctx context.Context, endpoint string, rounds int, r *result) error {
	var times rig.Times
	for i := range rounds {
		took, err := p.crash(ctx, endpoint)
		if err != nil {
			return fmt.Errorf("crash %d: %w", i, err)
		}
		times = append(times, took)
	}
	r.CrashP50, r.CrashMax = times.At(50), times.At(100)
	r.Ratio = rig.Ratio(r.CrashP50, r.TTL)
	return nil
}

func (p Peer) crash(ctx context.Context, endpoint string) (took time.Duration, err error) {
	err = p.scene(ctx, endpoint, func(v *victim, heir Contender, next <-chan led) error {
		start := time.Now()
		v.kill()
		l, err := await(next)
		if err != nil {
			return err
		}
		took = l.at.Sub(start)
		return heir.Resign(ctx)
	})
	return took, err
}

// scene calls f with a leader in another process and a contender that stands behind it.
func (p Peer) scene(ctx context.Context, endpoint string, f func(*victim, Contender, <-chan led) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v, err := p.start(ctx, endpoint)
	if err != nil {
		return err
	}
	defer v.kill()
	heir, err := p.New(ctx, endpoint, "heir", p.TTL)
	if err != nil {
		return err
	}
	defer heir.Close()
	next := campaign(ctx, heir)
	if err := p.rest(ctx); err != nil {
		return err
	}
	return f(v, heir, next)
}

// victim is the leader in another process.
type victim struct {
	cmd *exec.Cmd
	in  io.Closer // at its end the victim exits by itself
	// lost is closed when it was told that it leads no more.
	lost  chan struct{}
	ended bool
}

func (p Peer) start(ctx context.Context, endpoint string) (*victim, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "--victim", endpoint, "--ttl", p.TTL.String())
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	v := &victim{cmd: cmd, in: in, lost: make(chan struct{})}
	var pid int
	if _, err := fmt.Fscanf(out, "leading %d\n", &pid); err != nil {
		v.kill()
		return nil, fmt.Errorf("the victim did not lead: %w", err)
	}
	go func() {
		if _, err := fmt.Fscanf(out, "lost\n"); err == nil {
			close(v.lost)
		}
	}()
	return v, nil
}

// signal sends a signal to the victim and what it has started.
func (v *victim) signal(sig syscall.Signal) error { return syscall.Kill(-v.cmd.Process.Pid, sig) }

// kill ends the victim at once. It may be called again.
func (v *victim) kill() {
	if v.ended {
		return
	}
	v.ended = true
	_ = v.signal(syscall.SIGKILL)
	_ = v.cmd.Wait() // it says that the victim was killed
	_ = v.in.Close()
}

// lead is what the victim does: it leads, says so, and waits to be killed.
func (p Peer) lead(ctx context.Context, endpoint string, in io.Reader, out io.Writer) error {
	c, err := p.New(ctx, endpoint, "victim", p.TTL)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Campaign(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "leading %d\n", os.Getpid())
	if lost := c.Lost(); lost != nil {
		go func() { <-lost; fmt.Fprintln(out, "lost") }()
	}
	_, err = io.Copy(io.Discard, in)
	return err
}
