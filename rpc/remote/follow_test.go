package remote

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/coordd/coordd/rpc"
)

// TestConnectionFollowsTheTermAtOneAddress has a component registered at a leader over
// the network, whose successor stands at the same address.
func TestConnectionFollowsTheTermAtOneAddress(t *testing.T) {
	host, _ := serve(t, Config{})
	loop, err := rpc.NewEndpoint(rpc.EndpointConfig{Name: "worker/w1", Checked: true})
	if err != nil {
		t.Fatal(err)
	}
	running(t, loop.Run)
	events := make(chan string, 10)
	conn, err := rpc.NewConnection(loop, rpc.ConnectionConfig[echo, string]{
		Name: "worker w1", Dial: Dial(caller(t, Config{}), echoGateway()),
		Register:    func(ctx context.Context, g echo, _ rpc.Target) (string, error) { return g.Say(ctx, "register") },
		OnConnected: func(c rpc.Connected[echo, string]) { events <- c.Reply + " in " + c.Target.Term.Epoch.String() },
		OnLost:      func(c rpc.Connected[echo, string], _ error) { events <- "lost " + c.Target.Term.Epoch.String() },
		OnRejected:  func(rpc.Target, error) { events <- "rejected" },
		Retry:       rpc.Retry{Delay: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	follow := func(target rpc.Target) {
		for errors.Is(loop.Tell(func() { conn.SetTarget(target) }), rpc.ErrNotStarted) {
		}
	}
	saw := func(want string) {
		t.Helper()
		if got := <-events; got != want {
			t.Errorf("saw %q, want %q", got, want)
		}
	}
	target := rpc.Target{Address: host.Address(), Endpoint: "dispatcher", Term: first}
	_, end := hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher", Term: first}, plain)
	follow(target)
	saw("register in " + first.Epoch.String())
	end()
	// The successor is announced before it serves; then it rejects, and then there is a third.
	target.Term = second
	follow(target)
	saw("lost " + first.Epoch.String())
	_, end = hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher", Term: second},
		func(context.Context, string) (string, error) { return "", rpc.ErrRejected })
	saw("rejected")
	end()
	third := second
	third.SessionID, third.Epoch = first.SessionID, second.Epoch+1
	hostEcho(t, host, rpc.EndpointConfig{Name: "dispatcher", Term: third}, plain)
	target.Term = third
	follow(target)
	saw("register in " + third.Epoch.String())
}
