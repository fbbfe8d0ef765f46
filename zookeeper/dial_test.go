package zookeeper_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// dials notes when each connection was asked for.
type dials struct {
	next dialFunc
	at   []time.Time
}

func (d *dials) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.at = append(d.at, time.Now()); len(d.at) > 1000 {
		elapse(time.Second) // a client without pauses would hold the clock
	}
	return d.next(ctx, network, addr)
}

// within counts the dials of a span of time.
func (d *dials) within(from time.Time, span time.Duration) int {
	n := 0
	for _, at := range d.at {
		if !at.Before(from) && at.Before(from.Add(span)) {
			n++
		}
	}
	return n
}

// wantPatience checks that a client that nobody serves asks ever less.
func (d *dials) wantPatience(t *testing.T, from time.Time) {
	t.Helper()
	if n := d.within(from, time.Second); n < 1 || n > 10 {
		t.Errorf("%d connections in the first second, want 1 to 10", n)
	}
	// T/6 is one second here; half of a pause is random.
	if n := d.within(from.Add(time.Minute), time.Minute); n < 20 || n > 120 {
		t.Errorf("%d connections in the second minute, want 20 to 120", n)
	}
}

// confirming hangs up as soon as it has confirmed a session.
func confirming(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		if _, err := readPacket(server); err == nil {
			_, _ = server.Write(connectResponse(int32(timeout.Milliseconds()), 7))
		}
	}()
	return client, nil
}

func TestServersThatConfirmASessionAndHangUpAreAskedEverLess(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *zookeepertest.Fake) {
		d := &dials{next: confirming}
		c, err := zookeeper.New(config(d))
		must(t, err)
		run, stop := context.WithCancel(t.Context())
		start := time.Now()
		ended := background(func() error { return c.Run(run) })
		elapse(3 * time.Minute)
		stop()
		<-ended
		d.wantPatience(t, start)
	})
}

func TestAConnectionThatLastedIsReplacedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		s := connect(t, fake)
		for range 20 {
			elapse(timeout / 2)
			start := time.Now()
			fake.Drop()
			must(t, second(s.Exists(within(t), "/")))
			if took := time.Since(start); took >= 50*time.Millisecond {
				t.Fatalf("answered %v after the connection was lost, want no pause", took)
			}
		}
	})
}
