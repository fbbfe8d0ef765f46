package main

import (
	"context"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
)

// traffic is in packets a second that the servers receive.
type traffic struct {
	Ours  float64 `json:"ours_per_second"`
	Floor float64 `json:"floor_per_second"`
	Ratio float64 `json:"ratio"`
}

// operations counts the packets of three idle contenders, and what they consist of:
// the pings of three sessions, measured, and the renewals, one every T/8. Sessions
// that only observe are taken off.
func operations(ctx context.Context, e rig.Ensemble, window time.Duration) (traffic, error) {
	const sessions = 3
	alone, err := rate(ctx, e, window)
	if err != nil {
		return traffic{}, err
	}
	var pings float64
	err = rig.WithBare(ctx, e, sessions, func() error {
		all, err := rate(ctx, e, window)
		pings = all - alone
		return err
	})
	if err != nil {
		return traffic{}, err
	}
	var ours, renewals float64
	err = rig.WithCrew(ctx, e, sessions, func(ctx context.Context, c *rig.Crew) error {
		if err := c.Settled(ctx); err != nil {
			return err
		}
		timeout, err := c.Timeout(ctx)
		if err != nil {
			return err
		}
		renewals = 8 / timeout.Seconds()
		all, err := rate(ctx, e, window)
		ours = rig.Round(all - alone - pings/sessions) // the crew has an observer
		return err
	})
	floor := rig.Round(pings + renewals)
	return traffic{Ours: ours, Floor: floor, Ratio: rig.Ratio(ours, floor)}, err
}

// rate returns the packets a second in a while without any other work.
func rate(ctx context.Context, e rig.Ensemble, window time.Duration) (float64, error) {
	before, err := e.Packets(ctx)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := rig.Pause(ctx, window); err != nil {
		return 0, err
	}
	after, err := e.Packets(ctx)
	const asking = 1 // the second question counts itself
	return rig.Round((after - before - asking) / time.Since(start).Seconds()), err
}
