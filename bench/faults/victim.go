package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/coordd/coordd/election"
	electionzk "github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/zookeeper"
)

// What the leading process says, each with the time.
const (
	saysDialled = "dialled" // and the address
	saysState   = "state"   // and the state of the session
	saysLeads   = "leads"   // and its node
	saysEnded   = "ended"   // and the cause
)

// resign is what it can be told.
const resign = "resign"

// speaker writes lines with the time at which they were true.
type speaker struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *speaker) say(word, rest string) {
	at := time.Now().UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%d %s %s\n", at, word, rest)
}

// contender returns an elector with the client that it needs.
func contender(s settings, servers []string, root, id string, dial zookeeper.Dial) (*zookeeper.Client, *election.Elector, error) {
	client, err := zookeeper.New(zookeeper.Config{Servers: servers, SessionTimeout: s.timeout, Dial: dial})
	if err != nil {
		return nil, nil, err
	}
	cfg := electionzk.Config{Client: client, Latch: root + "/latch"}
	if s.tell {
		cfg.Tick = s.tick
	}
	driver, err := electionzk.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	elector, err := election.New(election.Config{ID: id, Driver: driver, StopGrace: s.grace})
	return client, elector, err
}

// lead is the process that is struck: it contends, says what happens to it, and does
// what it is told until its input ends.
func lead(ctx context.Context, s settings, servers []string, root string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sp := &speaker{out: out}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			sp.say(saysDialled, addr)
		}
		return conn, err
	}
	client, elector, err := contender(s, servers, root, "victim", dial)
	if err != nil {
		return err
	}
	go func() {
		defer cancel()
		for lines := bufio.NewScanner(in); lines.Scan(); {
			if lines.Text() == resign {
				elector.Resign()
			}
		}
	}()
	session, closeSession := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer closeSession()
	running.Go(func() { _ = client.Run(session) }) // its error is session's
	running.Go(func() { sp.follow(session, client) })
	err = elector.Run(ctx, election.ContenderFunc(func(ctx context.Context, t *election.Term) error {
		sp.say(saysLeads, t.Epoch().String())
		<-ctx.Done()
		sp.say(saysEnded, context.Cause(ctx).Error())
		return nil
	}))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// follow says each state of each session until ctx ends.
func (s *speaker) follow(ctx context.Context, client *zookeeper.Client) {
	for {
		session, err := client.Session(ctx)
		if err != nil {
			return
		}
		for session.Err() == nil {
			state, changed := session.State()
			s.say(saysState, state.String())
			select {
			case <-changed:
			case <-session.Done():
			case <-ctx.Done():
				return
			}
		}
	}
}
