package resourcemanager

import "time"

const (
	// firstPause is how long the pool waits after the first failure, maxPause the most
	// after several in a row.
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	// refusal is how soon a slot is given up that was not wanted in the first place.
	refusal = time.Second
)

// pause is how long something is left alone because it failed. The zero pause is over.
type pause struct {
	until time.Time
	delay time.Duration
}

// extend notes another failure.
func (p *pause) extend(now time.Time) {
	p.delay = min(max(2*p.delay, firstPause), maxPause)
	p.until = now.Add(p.delay)
}

// over reports whether the pause has passed.
func (p *pause) over(now time.Time) bool { return !now.Before(p.until) }
