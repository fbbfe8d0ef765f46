package rig

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Packets returns how many packets the servers have received from clients so far,
// by their own count. Asking is counted too.
func (e Ensemble) Packets(ctx context.Context) (float64, error) {
	var sum float64
	for _, addr := range e.Servers {
		n, err := packets(ctx, addr)
		if err != nil {
			return 0, fmt.Errorf("mntr of the server %s: %w", addr, err)
		}
		sum += n
	}
	return sum, nil
}

func packets(ctx context.Context, addr string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	defer unhook()
	if _, err := io.WriteString(conn, "mntr"); err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(answer)) {
		if value, ok := strings.CutPrefix(line, "zk_packets_received\t"); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the answer %.60q has no zk_packets_received; start the server with 4lw.commands.whitelist=mntr", answer)
}

// Operations returns how many packets act causes, counted until a while after it
// has returned. What comes in an equally long time without act is taken off:
// pings, renewals and the counting itself.
func (e Ensemble) Operations(ctx context.Context, while time.Duration, act func() error) (float64, error) {
	began := time.Now()
	before, err := e.Packets(ctx)
	if err != nil {
		return 0, err
	}
	if err := act(); err != nil {
		return 0, err
	}
	if err := Pause(ctx, while); err != nil {
		return 0, err
	}
	after, err := e.Packets(ctx)
	if err != nil {
		return 0, err
	}
	if err := Pause(ctx, time.Since(began)); err != nil {
		return 0, err
	}
	idle, err := e.Packets(ctx)
	return (after - before) - (idle - after), err
}
