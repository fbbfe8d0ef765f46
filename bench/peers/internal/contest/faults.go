package contest

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// fate is what came of a fault.
type fate struct {
	// Led is when the next one led, from the fault.
	Led span `json:"led_ms"`
	// Told is when the former was told: from the fault or, if it was paused, from when
	// it woke up.
	Told span `json:"told_ms"`
}

// span is in milliseconds; below zero for what did not happen while it was watched.
type span float64

const never span = -1

func (s span) String() string {
	if s == never {
		return "never"
	}
	return fmt.Sprintf("%.0f ms", float64(s))
}

func since(start time.Time) span { return span(time.Since(start).Microseconds()) / 1000 }

// faults pauses a leader and deletes another one's entry.
func (p Peer) faults(ctx context.Context, endpoint string, r *result) error {
	err := p.scene(ctx, endpoint, func(v *victim, heir Contender, next <-chan led) (err error) {
		r.Paused, err = p.paused(v, next)
		if err != nil {
			return fmt.Errorf("pause: %w", err)
		}
		return heir.Resign(ctx)
	})
	if err != nil {
		return err
	}
	return p.scene(ctx, endpoint, func(v *victim, heir Contender, next <-chan led) error {
		start := time.Now()
		if err := p.Delete(ctx, endpoint); err != nil {
			return fmt.Errorf("delete the leader's entry: %w", err)
		}
		r.Deleted = p.watch(v, next, start)
		v.kill()
		if r.Deleted.Led == never {
			if _, err := await(next); err != nil {
				return err
			}
		}
		return heir.Resign(ctx)
	})
}

// window is how long something is watched that may never happen.
func (p Peer) window() time.Duration { return p.TTL + p.TTL/2 }

// paused stops the victim until the next one leads.
func (p Peer) paused(v *victim, next <-chan led) (f fate, err error) {
	start := time.Now()
	if err := v.signal(syscall.SIGSTOP); err != nil {
		return f, err
	}
	if _, err := await(next); err != nil {
		return f, err
	}
	f.Led = since(start)
	woke := time.Now()
	if err := v.signal(syscall.SIGCONT); err != nil {
		return f, err
	}
	f.Told = p.watch(v, nil, woke).Told
	return f, nil
}

// watch waits until both have happened, or for the window.
func (p Peer) watch(v *victim, next <-chan led, start time.Time) fate {
	f := fate{Led: never, Told: never}
	late := time.After(p.window())
	for lost := v.lost; lost != nil || next != nil; {
		select {
		case <-next:
			f.Led, next = since(start), nil
		case <-lost:
			f.Told, lost = since(start), nil
		case <-late:
			return f
		}
	}
	return f
}
