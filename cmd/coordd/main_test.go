package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// tests runs the tests and then looks for goroutines that were left behind.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	code := t.m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines were left behind:", err)
		return 1
	}
	return 0
}

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"coordd": main})
}

// TestScripts plays the command line, each script with processes of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			port, err := freePort(t)
			if err != nil {
				return err
			}
			// Nothing listens on NOWHERE.
			nowhere, err := freePort(t)
			if err != nil {
				return err
			}
			env.Setenv("HTTP", "127.0.0.1:"+port)
			env.Setenv("NOWHERE", "127.0.0.1:"+nowhere)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("COORDD_ADDRESS", "http://127.0.0.1:"+port)
			env.Setenv("COORDD_HTTP", "127.0.0.1:"+port)
			// Agents of different scripts run at once.
			env.Setenv("COORDD_RPC", "127.0.0.1:0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": ready, "answers": answers},
	})
}

func freePort(t *testing.T) (string, error) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return "", err
	}
	return port, listener.Close()
}

// ready waits until the agent at $HTTP leads: "ready".
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: ready")
	}
	poll(ts, "http://"+ts.Getenv("HTTP")+"/leader", http.StatusOK)
}

// answers waits until a path of the agent at $HTTP answers with a status:
// "answers 503 /readyz".
func answers(ts *testscript.TestScript, neg bool, args []string) {
	var status int
	if neg || len(args) != 2 {
		ts.Fatalf("usage: answers STATUS PATH")
	}
	_, err := fmt.Sscan(args[0], &status)
	ts.Check(err)
	poll(ts, "http://"+ts.Getenv("HTTP")+args[1], status)
}

func poll(ts *testscript.TestScript, url string, want int) {
	const limit, interval = 30 * time.Second, 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	last := "nothing"
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		ts.Check(err)
		resp, err := client.Do(r)
		if err == nil {
			last = resp.Status
			ts.Check(resp.Body.Close())
			if resp.StatusCode == want {
				return
			}
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			ts.Fatalf("%s did not answer with %d within %s; last it was %s", url, want, limit, last)
		}
	}
}
