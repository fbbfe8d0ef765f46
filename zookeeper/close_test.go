package zookeeper_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func isClose(r zookeepertest.Request) bool { return r.Op == zookeepertest.OpCloseSession }

func TestCloseSaysWhetherTheSessionIsClosed(t *testing.T) {
	for name, test := range map[string]struct {
		before func(t *testing.T, f *zookeepertest.Fake, l *zookeepertest.Link, s *zookeeper.Session)
		want   error // nil: closed
	}{
		"undisturbed": {func(*testing.T, *zookeepertest.Fake, *zookeepertest.Link, *zookeeper.Session) {}, nil},
		"behind a lost read": {func(t *testing.T, _ *zookeepertest.Fake, l *zookeepertest.Link, s *zookeeper.Session) {
			l.Drop()
			awaitState(t, s, zookeeper.Suspended)
			_, _, err := s.Get(within(t), "/")
			must(t, err)
		}, nil},
		"expired before": {func(_ *testing.T, f *zookeepertest.Fake, _ *zookeepertest.Link, s *zookeeper.Session) {
			f.ExpireSession(s.ID())
			<-s.Done()
		}, nil},
		"request lost": {func(_ *testing.T, _ *zookeepertest.Fake, l *zookeepertest.Link, _ *zookeeper.Session) {
			l.DropRequestOf(isClose)
		}, zookeeper.ErrUnknownOutcome},
		"reply lost": {func(_ *testing.T, _ *zookeepertest.Fake, l *zookeepertest.Link, _ *zookeeper.Session) {
			l.DropReplyOf(isClose)
		}, zookeeper.ErrUnknownOutcome},
		"given up before": {func(_ *testing.T, _ *zookeepertest.Fake, l *zookeepertest.Link, s *zookeeper.Session) {
			l.Refuse(true)
			l.Drop()
			<-s.Done()
		}, zookeeper.ErrSuspended},
		"abandoned before": {func(_ *testing.T, _ *zookeepertest.Fake, _ *zookeepertest.Link, s *zookeeper.Session) {
			s.Abandon()
		}, zookeeper.ErrSuspended},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				link := fake.NewLink()
				s := connect(t, link)
				test.before(t, fake, link, s)
				for range 2 {
					err := s.Close()
					if test.want == nil {
						must(t, err)
						if fake.Sessions()[0].Ended.IsZero() {
							t.Error("Close said that the session is closed, and the server still has it")
						}
						continue
					}
					wantErr(t, "close", err, test.want)
					wantText(t, "close", err, "zookeeper: close /", "may stay for up to 6s")
				}
			})
		})
	}
}

func TestClientLogsASessionThatItCouldNotClose(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		var out syncBuffer
		cfg := config(fake)
		cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &out})
		client, err := zookeeper.New(cfg)
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := background(func() error { return client.Run(ctx) })
		_, err = client.Session(within(t))
		must(t, err)
		fake.DropReplyOf(isClose)
		cancel()
		<-ended
		if want := "session was not closed"; !strings.Contains(out.text(), want) {
			t.Errorf("log is %q, want %q in it", out.text(), want)
		}
	})
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// text returns what was written.
func (b *syncBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Whatever holds go-zookeeper up, here a dialer that ignores its context, the
// session ends.
func TestCloseDoesNotWaitForAStuckDial(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		stuck, dialled := make(chan struct{}), make(chan struct{}, 1)
		cfg := config(fake)
		first := true
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if first { // one goroutine dials
				first = false
				return fake.DialContext(ctx, network, addr)
			}
			dialled <- struct{}{}
			<-stuck
			return nil, net.ErrClosed
		}
		s := openWith(t, cfg)
		fake.Drop()
		<-dialled
		start := time.Now()
		wantErr(t, "close", s.Close(), zookeeper.ErrSuspended)
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("Close took %v, want 8 s at most", took)
		}
		close(stuck) // the bubble ends when all of its goroutines have
	})
}
