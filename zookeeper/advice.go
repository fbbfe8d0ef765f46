package zookeeper

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// limits are an ensemble's tickTime and syncLimit, zero as far as they are unknown.
type limits struct {
	tick time.Duration
	sync int
}

// least returns the shortest session time-out with which a session survives that
// one server hangs, a rule found by measurement: the others give it up after
// syncLimit ticks or a little later, up to as much again when it led them, and an
// election and a reconnect take up to two seconds.
func (l limits) least() time.Duration {
	return 2*time.Duration(l.sync)*l.tick + 2*time.Second
}

func (l limits) known() bool { return l.tick > 0 && l.sync > 0 }

// advise warns, once in the life of a client, when the session time-out is too
// short for one hung server of the ensemble. What the configuration does not say is
// asked for with the command conf, which servers answer only when it is on their
// list (4lw.commands.whitelist).
func (c *Client) advise(ctx context.Context, s *Session) {
	if len(c.cfg.Servers) == 1 || c.cfg.kept.advised.Load() {
		return // when the only server hangs, nothing helps
	}
	l, granted := limits{c.cfg.Tick, c.cfg.SyncLimit}, s.Timeout()
	if !l.known() {
		asked, err := s.limits(ctx)
		if err != nil {
			c.log.Debug("the limits of the ensemble are unknown", "error", err)
		} else {
			l = asked
		}
	}
	const problem = "the session time-out is too short to survive that one ZooKeeper server hangs; ask for a longer one"
	switch {
	case l.known() && granted < l.least():
		c.warnOnce(problem, "timeout", granted, "least", l.least(), "tick", l.tick, "sync_limit", l.sync)
	case !l.known() && granted > c.cfg.SessionTimeout:
		// Servers raise what is shorter than two ticks, and those are too few for
		// any syncLimit.
		c.warnOnce(problem, "asked", c.cfg.SessionTimeout, "timeout", granted, "reason", "the servers had to raise it")
	}
}

func (c *Client) warnOnce(message string, args ...any) {
	if c.cfg.kept.advised.CompareAndSwap(false, true) {
		c.log.Warn(message, args...)
	}
}

// limits asks the session's server for the ensemble's limits, on a connection of
// its own.
func (s *Session) limits(ctx context.Context) (limits, error) {
	addr := s.conn.Server()
	ctx, cancel := context.WithTimeout(ctx, min(maxDial, max(minConnect, s.Timeout()/3)))
	defer cancel()
	conn, err := s.dial(ctx, "tcp", addr)
	if err != nil {
		return limits{}, fmt.Errorf("ask server %s for its limits: %w", addr, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, "conf"); err != nil {
		return limits{}, fmt.Errorf("ask server %s for its limits: %w", addr, err)
	}
	l, err := parseLimits(conn)
	if err != nil {
		return limits{}, fmt.Errorf("ask server %s for its limits: %w", addr, err)
	}
	return l, nil
}

// parseLimits reads an answer to conf: lines of key=value.
func parseLimits(r io.Reader) (limits, error) {
	const most = 64 << 10
	var l limits
	lines := bufio.NewScanner(io.LimitReader(r, most))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || n <= 0 {
			continue
		}
		switch key {
		case "tickTime":
			l.tick = time.Duration(n) * time.Millisecond
		case "syncLimit":
			l.sync = n
		}
	}
	return l, lines.Err()
}
