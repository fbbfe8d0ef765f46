package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coordd/coordd/rpc"
)

func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// content is an error with something in it.
type content struct{ word string }

func (c *content) Error() string { return "content " + c.word }

func TestErrorsAreTheSameOnTheOtherSide(t *testing.T) {
	errKnown, errOther, errUnknown := errors.New("known"), errors.New("other"), errors.New("unknown")
	cfg := Config{Errors: []Kind{
		{Code: "known", Err: errKnown},
		{Code: "other", Err: errOther},
		{
			Code: "content",
			Encode: func(err error) (string, bool) {
				c, ok := errors.AsType[*content](err)
				if !ok {
					return "", false
				}
				return c.word, true
			},
			Decode: func(value string) error { return &content{value} },
		},
	}}
	sides(t, cfg, func(t *testing.T, host, caller *Service) {
		var failure error
		hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher"}, func(context.Context, string) (string, error) { return "", failure })
		g := dial(t, caller, rpc.Target{Address: host.Address(), Endpoint: "dispatcher"})
		say := func(err error) error {
			failure = err
			_, got := g.Say(t.Context(), "")
			if got == nil || !strings.Contains(valid(got.Error()), valid(err.Error())) {
				t.Errorf("got %v, want the text %q", got, err)
			}
			return got
		}
		if got := say(errKnown); !errors.Is(got, errKnown) || errors.Is(got, errOther) {
			t.Errorf("got %v, want the known error only", got)
		}
		if got := say(errors.Join(errors.New("because"), errKnown, errOther)); !errors.Is(got, errKnown) || !errors.Is(got, errOther) {
			t.Errorf("got %v, want both errors", got)
		}
		if got := say(errUnknown); errors.Is(got, errKnown) || errors.Is(got, rpc.ErrUnreachable) {
			t.Errorf("got %v, want an error that is nothing else", got)
		}
		if got, ok := errors.AsType[*content](say(&content{"ä\n"})); !ok || got.word != "ä\n" {
			t.Errorf("got %v, want the content", got)
		}
		say(errors.New("not \xff UTF-8"))
	})
}

func TestRefusedAndNoAnswerAreTold(t *testing.T) {
	c := caller(t, Config{})
	gone := listen(t)
	gone.Close()
	begun := time.Now()
	for range 3 { // the second does not wait for the back-off of the first
		_, _, err := Connect(t.Context(), c, echoGateway(), rpc.Target{Address: gone.Addr().String(), Endpoint: "worker/w1"})
		if !errors.Is(err, rpc.ErrRefused) || !errors.Is(err, rpc.ErrUnreachable) {
			t.Errorf("nothing listens: got %v, want ErrRefused and ErrUnreachable", err)
		}
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("three refusals took %v", took)
	}
	silent := listen(t)
	defer silent.Close()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := Connect(short, c, echoGateway(), rpc.Target{Address: silent.Addr().String(), Endpoint: "worker/w1"})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, rpc.ErrUnreachable) {
		t.Errorf("nobody answers: got %v, want DeadlineExceeded only", err)
	}
}

func TestLostProcessIsUnreachableThenRefused(t *testing.T) {
	host, stop := serve(t, Config{})
	hostEcho(t, host, rpc.EndpointConfig{Name: "worker/w1"}, plain)
	g := dial(t, caller(t, Config{}), rpc.Target{Address: host.Address(), Endpoint: "worker/w1"})
	_ = stop()
	if _, err := g.Say(t.Context(), ""); !errors.Is(err, rpc.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	for {
		_, err := g.Say(t.Context(), "")
		if errors.Is(err, rpc.ErrRefused) {
			break
		}
		if !errors.Is(err, rpc.ErrUnreachable) {
			t.Fatalf("got %v, want ErrUnreachable until it is refused", err)
		}
	}
}

// Another call may have tried to connect again, and failed, before the first is told that
// its connection was lost.
func TestCallThatWasUnderWayIsNotRefused(t *testing.T) {
	refused := fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	k := &link{}
	k.failed.Store(&refused)
	for text, want := range map[string]bool{
		"error reading from server: EOF": false,
		`connection error: desc = "transport: Error while dialing: ` + refused.Error() + `"`: true,
	} {
		if err := k.unreachable(text); errors.Is(err, rpc.ErrRefused) != want || !errors.Is(err, rpc.ErrUnreachable) {
			t.Errorf("%s: got %v, want ErrUnreachable that is ErrRefused: %v", text, err, want)
		}
	}
}

func TestGatewayGoesOnAfterTheProcessIsBack(t *testing.T) {
	host, stop := serve(t, Config{})
	hostEcho(t, host, rpc.EndpointConfig{Name: "worker/w1"}, plain)
	address := host.Address()
	g := dial(t, caller(t, Config{}), rpc.Target{Address: address, Endpoint: "worker/w1"})
	_ = stop()
	_, _ = g.Say(t.Context(), "")
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	back, _ := serve(t, Config{Listener: again})
	hostEcho(t, back, rpc.EndpointConfig{Name: "worker/w1"}, plain)
	for {
		_, err := g.Say(t.Context(), "")
		if err == nil {
			break
		}
		if !errors.Is(err, rpc.ErrUnreachable) {
			t.Fatalf("got %v, want ErrUnreachable until it answers", err)
		}
	}
}

func TestProcessThatIsBackIsConnectedToAtOnce(t *testing.T) {
	host, stop := serve(t, Config{})
	hostEcho(t, host, rpc.EndpointConfig{Name: "worker/w1"}, plain)
	address, c := host.Address(), caller(t, Config{})
	g := dial(t, c, rpc.Target{Address: address, Endpoint: "worker/w1"})
	_ = stop()
	for {
		if _, err := g.Say(t.Context(), ""); errors.Is(err, rpc.ErrRefused) {
			break
		}
	}
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	back, _ := serve(t, Config{Listener: again})
	hostEcho(t, back, rpc.EndpointConfig{Name: "worker/w1"}, plain)
	// The former gateway still holds a connection that waits to be made again.
	if _, err := dial(t, c, rpc.Target{Address: address, Endpoint: "worker/w1"}).Say(t.Context(), ""); err != nil {
		t.Errorf("got %v, want what was true before to be forgotten", err)
	}
}

func TestTooLargeIsAnErrorAtTheSender(t *testing.T) {
	host, _ := serve(t, Config{MaxMessage: 1000})
	var calls atomic.Int32
	hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher"}, func(_ context.Context, text string) (string, error) {
		calls.Add(1)
		return strings.Repeat(text, 300), nil
	})
	target := rpc.Target{Address: host.Address(), Endpoint: "dispatcher"}
	small := dial(t, caller(t, Config{MaxMessage: 1000}), target)
	for _, c := range []struct {
		name, text, want string
		calls            int32
	}{
		{"request", strings.Repeat("x", 1000), "request of /coordd.test.Echo/Say has 1003 bytes, the limit is 1000", 0},
		{"answer", "four", "answer of /coordd.test.Echo/Say has 1203 bytes, the limit is 1000", 1},
	} {
		calls.Store(0)
		_, err := small.Say(t.Context(), c.text)
		if !errors.Is(err, rpc.ErrTooLarge) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ErrTooLarge with %q", c.name, err, c.want)
		}
		if got := calls.Load(); got != c.calls {
			t.Errorf("%s: the implementation was called %d times, want %d", c.name, got, c.calls)
		}
	}
	// A caller whose limit is higher is refused by the other side.
	if _, err := dial(t, caller(t, Config{}), target).Say(t.Context(), strings.Repeat("x", 1000)); !errors.Is(err, rpc.ErrTooLarge) {
		t.Errorf("higher limit: got %v, want ErrTooLarge", err)
	}
}
