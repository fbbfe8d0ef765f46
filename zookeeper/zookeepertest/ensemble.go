package zookeepertest

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Ensemble is a group of real servers that elect a leader among themselves. Its
// methods fail the test that started it, and are called on its goroutine.
type Ensemble struct {
	// Servers holds the members, server.1 first. Their sessions are common.
	Servers []*Server
	tb      TB
	// ways holds the proxy from one member to another's quorum port, by their places
	// in Servers; empty without Partitions.
	ways map[[2]int]*Proxy
}

// StartEnsemble starts n servers (3 is the least that survives a loss) and
// returns when all of them serve. At the end of the test the servers are killed
// and their files are removed.
func StartEnsemble(tb TB, n int, opts ...Option) *Ensemble {
	tb.Helper()
	requireInstalled(tb)
	cfg := newConfig(opts)
	base := baseDir(tb, cfg)
	e := &Ensemble{tb: tb}
	for i := range n {
		s := &Server{tb: tb, cfg: cfg, id: i + 1, dir: filepath.Join(base, fmt.Sprintf("zk%d", i+1))}
		e.Servers = append(e.Servers, s)
		tb.Cleanup(func() { _ = s.kill() })
	}
	err := errPortTaken
	for attempt := 0; attempt < startAttempts && errors.Is(err, errPortTaken); attempt++ {
		err = e.startOnFreePorts()
	}
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return e
}

// startOnFreePorts gives every server three ports, starts all, and waits until
// all serve.
func (e *Ensemble) startOnFreePorts() error {
	ports, err := freePorts(3 * len(e.Servers))
	if err != nil {
		return err
	}
	for i, s := range e.Servers {
		s.port = ports[3*i]
	}
	for i, s := range e.Servers {
		s.peers = nil
		for j, other := range e.Servers {
			quorum := e.way(i, j, ports[3*j+1])
			s.peers = append(s.peers, fmt.Sprintf("server.%d=127.0.0.1:%d:%d", other.id, quorum, ports[3*j+2]))
		}
		if err := s.launch(); err != nil {
			return err
		}
	}
	for _, s := range e.Servers {
		if err := s.awaitServing(startLimit); err != nil {
			return err
		}
	}
	_, err = e.awaitHealthy()
	return err
}

// Connect returns the servers' addresses, separated by commas.
func (e *Ensemble) Connect() string { return strings.Join(e.Addrs(), ",") }

// Addrs returns the servers' addresses.
func (e *Ensemble) Addrs() []string {
	addrs := make([]string, 0, len(e.Servers))
	for _, s := range e.Servers {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// WaitHealthy blocks until every server that runs and is not paused serves, one
// of them leads, and all the others follow it.
func (e *Ensemble) WaitHealthy() {
	e.tb.Helper()
	if _, err := e.awaitHealthy(); err != nil {
		e.tb.Fatalf("%v", err)
	}
}

// Leader waits until the ensemble is healthy, as WaitHealthy does, and returns
// the server that leads.
func (e *Ensemble) Leader() *Server {
	e.tb.Helper()
	return e.withMode("leader")[0]
}

// Followers waits until the ensemble is healthy, as WaitHealthy does, and
// returns the servers that follow.
func (e *Ensemble) Followers() []*Server {
	e.tb.Helper()
	return e.withMode("follower")
}

// withMode returns the servers of one mode, all judged by the same answers.
func (e *Ensemble) withMode(mode string) []*Server {
	e.tb.Helper()
	modes, err := e.awaitHealthy()
	if err != nil {
		e.tb.Fatalf("%v", err)
	}
	var found []*Server
	for i, s := range e.Servers {
		if modes[i] == mode {
			found = append(found, s)
		}
	}
	return found
}

// awaitHealthy returns the servers' modes as soon as they say that the ensemble
// is healthy.
func (e *Ensemble) awaitHealthy() ([]string, error) {
	deadline := time.Now().Add(startLimit)
	for {
		modes, healthy := e.modes()
		if healthy {
			return modes, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("ensemble is not healthy after %v: modes %q; the end of server 1's log:\n%s",
				startLimit, modes, e.Servers[0].LogTail())
		}
		<-time.After(pollInterval)
	}
}

// modes asks every server that can answer, and judges. The leader's own count of
// its followers decides: a server that was paused believes for a moment that
// nothing has changed.
func (e *Ensemble) modes() (modes []string, healthy bool) {
	awake, leaders, followers, synced := 0, 0, 0, 0
	for _, s := range e.Servers {
		mode := ""
		if s.awake() {
			awake++
			values := s.measurements()
			mode = values["zk_server_state"]
			if n, err := strconv.Atoi(values["zk_synced_followers"]); err == nil {
				synced = n
			}
		}
		switch mode {
		case "leader":
			leaders++
		case "follower":
			followers++
		}
		modes = append(modes, mode)
	}
	return modes, leaders == 1 && followers == awake-1 && followers == synced
}
