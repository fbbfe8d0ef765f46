package zookeeper_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

const tooShort = "the session time-out is too short to survive that one ZooKeeper server hangs"

// answering dials a fake that knows the command conf.
type answering struct {
	dialer
	conf  string
	asked chan struct{} // receives each time
}

func (a *answering) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := a.dialer.DialContext(ctx, network, addr)
	return &answeringConn{Conn: conn, a: a}, err
}

type answeringConn struct {
	net.Conn
	a      *answering
	answer *strings.Reader
}

func (c *answeringConn) Write(p []byte) (int, error) {
	if string(p) != "conf" {
		return c.Conn.Write(p)
	}
	c.a.asked <- struct{}{}
	c.answer = strings.NewReader(c.a.conf)
	return len(p), nil
}

func (c *answeringConn) Read(p []byte) (int, error) {
	if c.answer == nil {
		return c.Conn.Read(p)
	}
	return c.answer.Read(p)
}

func TestTooShortATimeoutIsToldOfOnce(t *testing.T) {
	const refused = "conf is not executed because it is not in the whitelist.\n"
	// Of the fake: ticks of a second, so that 2 to 20 s are granted.
	for name, test := range map[string]struct {
		servers, sync  int
		tick, asked    time.Duration
		conf           string
		warnings, asks int
		detail         string
	}{
		"configured, too short": {servers: 3, tick: time.Second, sync: 5, asked: 11 * time.Second, warnings: 1, detail: "least=12s"},
		"configured, enough":    {servers: 3, tick: time.Second, sync: 5, asked: 12 * time.Second},
		"asked, too short":      {servers: 3, asked: 11 * time.Second, conf: "tickTime=1000\nmaxClientCnxns=0\nsyncLimit=5\n", warnings: 1, asks: 1, detail: "sync_limit=5"},
		"asked, enough":         {servers: 3, asked: 12 * time.Second, conf: "tickTime=1000\nsyncLimit=5\n", asks: 2},
		"not answered":          {servers: 3, asked: 2 * time.Second, conf: refused, asks: 2},
		"raised by the servers": {servers: 3, asked: time.Second, conf: refused, warnings: 1, asks: 1, detail: "asked=1s"},
		"a server alone":        {servers: 1, tick: time.Second, sync: 5, asked: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				var out syncBuffer
				a := &answering{dialer: fake, conf: test.conf, asked: make(chan struct{}, 10)}
				cfg := config(a)
				cfg.Servers = []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}[:test.servers]
				cfg.SessionTimeout, cfg.Tick, cfg.SyncLimit = test.asked, test.tick, test.sync
				cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &out})
				client, err := zookeeper.New(cfg)
				must(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				ended := background(func() error { return client.Run(ctx) })
				for range 2 { // sessions
					s, err := client.Session(within(t))
					must(t, err)
					synctest.Wait()
					must(t, s.Close())
				}
				cancel()
				<-ended
				if got := strings.Count(out.text(), tooShort); got != test.warnings {
					t.Errorf("%d warnings, want %d; the log is %q", got, test.warnings, out.text())
				}
				if !strings.Contains(out.text(), test.detail) {
					t.Errorf("the log is %q, want %q in it", out.text(), test.detail)
				}
				if got := len(a.asked); got != test.asks {
					t.Errorf("the servers were asked %d times, want %d", got, test.asks)
				}
			})
		})
	}
}

func TestRealServersTellTheirLimits(t *testing.T) {
	e := zookeepertest.StartEnsemble(t, 3, zookeepertest.TickTime(100*time.Millisecond), zookeepertest.SyncLimit(10))
	var out syncBuffer
	client, err := zookeeper.New(zookeeper.Config{
		Servers: e.Addrs(), SessionTimeout: 3 * time.Second,
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &out}),
	})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := background(func() error { return client.Run(ctx) })
	limit := within(t)
	for !strings.Contains(out.text(), tooShort) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-limit.Done():
			t.Fatalf("no warning; the log is %q", out.text())
		}
	}
	cancel()
	<-ended
	for _, want := range []string{"least=4s", "tick=100ms", "sync_limit=10"} {
		if !strings.Contains(out.text(), want) {
			t.Errorf("the log is %q, want %q in it", out.text(), want)
		}
	}
}
