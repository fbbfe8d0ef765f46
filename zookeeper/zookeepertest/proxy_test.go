package zookeepertest

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// echo starts a server that sends back what it gets, and returns its address.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// say writes text and waits at most limit for its echo.
func say(c net.Conn, text string, limit time.Duration) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	return hear(c, text, limit)
}

func hear(c net.Conn, text string, limit time.Duration) error {
	_ = c.SetReadDeadline(time.Now().Add(limit))
	buf := make([]byte, len(text))
	if _, err := io.ReadFull(c, buf); err != nil {
		return err
	}
	if string(buf) != text {
		return errors.New("heard " + string(buf) + ", want " + text)
	}
	return nil
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func TestProxyFreezesWithoutClosingAndForwardsAfterwards(t *testing.T) {
	for name, way := range map[string]Direction{"both": Both, "to server": ToServer, "to client": ToClient} {
		t.Run(name, func(t *testing.T) {
			p := StartProxy(t, echo(t))
			c := dial(t, p.Addr())
			if err := say(c, "one", 5*time.Second); err != nil {
				t.Fatal(err)
			}
			p.Freeze(way)
			if err := say(c, "two", 100*time.Millisecond); !isTimeout(err) {
				t.Fatalf("while frozen: %v, want a time-out", err)
			}
			p.Heal()
			if err := hear(c, "two", 5*time.Second); err != nil {
				t.Errorf("after healing: %v", err)
			}
		})
	}
}

func TestProxyCutsOldAndNewConnectionsUntilHealed(t *testing.T) {
	p := StartProxy(t, echo(t))
	c := dial(t, p.Addr())
	if err := say(c, "one", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if err := say(c, "two", 5*time.Second); err == nil || isTimeout(err) {
		t.Errorf("old connection: %v, want it closed", err)
	}
	fresh, err := net.Dial("tcp", p.Addr())
	if err == nil { // the reset may come before or after the connection is seen
		t.Cleanup(func() { _ = fresh.Close() })
		err = say(fresh, "three", 5*time.Second)
	}
	if err == nil || isTimeout(err) {
		t.Errorf("new connection: %v, want it closed", err)
	}
	p.Heal()
	if err := say(dial(t, p.Addr()), "four", 5*time.Second); err != nil {
		t.Errorf("after healing: %v", err)
	}
}

func TestProxyDelaysEachWay(t *testing.T) {
	p := StartProxy(t, echo(t))
	c := dial(t, p.Addr())
	const d = 50 * time.Millisecond
	p.Delay(d)
	start := time.Now()
	if err := say(c, "one", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 2*d {
		t.Errorf("round trip took %v, want at least %v", took, 2*d)
	}
}

func TestProxyToNobodyClosesTheConnection(t *testing.T) {
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	p := StartProxy(t, loopback(ports[0]))
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
		err = say(c, "one", 5*time.Second)
	}
	if err == nil || isTimeout(err) {
		t.Errorf("%v, want the connection closed", err)
	}
}
