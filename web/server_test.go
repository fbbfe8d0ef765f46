package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a network within the process, so that it can live in a bubble.
type pipes struct {
	incoming chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

func newPipes() *pipes { return &pipes{incoming: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "pipe"} }

// reply is an answer whose body is still to be read.
type reply struct {
	code int
	body io.Reader
}

// get sends a request over a connection of its own and returns the answer.
func (p *pipes) get(t *testing.T, path string) reply {
	t.Helper()
	ours, theirs := net.Pipe()
	p.incoming <- theirs
	t.Cleanup(func() { _ = ours.Close() })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(ours); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(ours), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return reply{code: resp.StatusCode, body: resp.Body}
}

// running runs the server on pipes until the test calls stop.
func running(t *testing.T, s *Server) (network *pipes, stop func()) {
	t.Helper()
	listener := newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx, listener) }()
	return listener, func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// soon runs f in the background; the channel is closed when it has returned.
func soon(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

func TestRunServesUntilStoppedAndEndsLongPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNode()
		n.obs = known(info("node-2", 6, "http://127.0.0.1:1"), 8)
		network, stop := running(t, newTestServer(t, "node-1", n, nil))
		if resp := network.get(t, "/livez"); resp.code != http.StatusOK {
			t.Errorf("/livez answers %d", resp.code)
		}
		answered := make(chan time.Duration)
		begin := time.Now()
		go func() {
			resp := network.get(t, "/v1/leader?index=8&wait=1m")
			_, _ = io.Copy(io.Discard, resp.body)
			answered <- time.Since(begin)
		}()
		synctest.Wait()
		stopped := soon(stop)
		if took := <-answered; took != 0 {
			t.Errorf("the long poll was answered after %s, want at once when the server stops", took)
		}
		<-stopped
	})
}

func TestALongPollLastsAsLongAsItAsksFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNode()
		n.obs = known(info("node-2", 6, "http://127.0.0.1:1"), 8)
		network, stop := running(t, newTestServer(t, "node-1", n, nil))
		begin := time.Now()
		resp := network.get(t, "/v1/leader?index=8&wait=1m")
		if took := time.Since(begin); took != time.Minute || resp.code != http.StatusOK {
			t.Errorf("answered %d after %s, want 200 after a minute", resp.code, took)
		}
		stop()
	})
}

func TestRunReportsAListenerThatFails(t *testing.T) {
	network := newPipes()
	_ = network.Close()
	err := newTestServer(t, "node-1", newFakeNode(), nil).Run(t.Context(), network)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run returned %v, want the listener's error", err)
	}
}
