package main

import (
	"errors"
	"io"
	"syscall"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// fault is one way to strike.
type fault struct {
	name string
	// aim finds what is struck; nil for the victim itself. It takes its time.
	aim func(*scene) (target, error)
	// strike begins the fault, and undo, which may be nil, ends it.
	strike func(*scene, target) error
	undo   func(*scene, target)
	// wake is called once another one leads; nil for nothing.
	wake func(*scene) error
}

// errAgain: the scene is not the one that the fault is about.
var errAgain = errors.New("the leader is connected to ZooKeeper's leader")

// target is what a fault strikes beside the victim.
type target struct {
	node   string
	server *zookeepertest.Server
}

// faults returns them all, in the order of the documentation.
func faults() []fault {
	wake := func(sc *scene) error { return sc.victim.signal(syscall.SIGCONT) }
	own := func(sc *scene) (target, error) {
		t := target{server: sc.ensemble.Servers[sc.victim.server]}
		if t.server == sc.ensemble.Leader() {
			return t, errAgain // that is another fault
		}
		return t, nil
	}
	leader := func(sc *scene) (target, error) { return target{server: sc.ensemble.Leader()}, nil }
	kill := func(_ *scene, t target) error { t.server.Kill(); return nil }
	hang := func(_ *scene, t target) error { t.server.Pause(); return nil }
	start := func(_ *scene, t target) { t.server.Start() }
	resume := func(_ *scene, t target) { t.server.Resume() }
	return []fault{
		{name: "resign", strike: func(sc *scene, _ target) error {
			_, err := io.WriteString(sc.victim.in, resign+"\n")
			return err
		}},
		{name: "kill", strike: func(sc *scene, _ target) error { return sc.victim.signal(syscall.SIGKILL) }},
		{
			name: "pause", wake: wake,
			strike: func(sc *scene, _ target) error { return sc.victim.signal(syscall.SIGSTOP) },
			undo:   func(sc *scene, _ target) { _ = wake(sc) },
		},
		{
			name: "delete",
			aim: func(sc *scene) (target, error) {
				node, err := sc.observer.Lowest(sc.root + "/latch")
				return target{node: node}, err
			},
			strike: func(sc *scene, t target) error { return sc.observer.Conn.Delete(t.node, -1) },
		},
		{
			name: "client-cut-off",
			strike: func(sc *scene, _ target) error {
				for _, p := range sc.proxies {
					p.Freeze()
				}
				return nil
			},
			undo: func(sc *scene, _ target) {
				for _, p := range sc.proxies {
					p.Heal()
				}
			},
		},
		{name: "server-killed", aim: own, strike: kill, undo: start},
		{name: "server-hung", aim: own, strike: hang, undo: resume},
		{name: "zookeeper-leader-killed", aim: leader, strike: kill, undo: start},
		{name: "zookeeper-leader-hung", aim: leader, strike: hang, undo: resume},
	}
}

func names() []string {
	var all []string
	for _, f := range faults() {
		all = append(all, f.name)
	}
	return all
}
