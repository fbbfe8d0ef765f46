package zookeepertest

import (
	"net"
	"slices"
)

// A member follows the leader on a connection that it makes to the leader's quorum
// port, at the address that its own zoo.cfg has for it. With Partitions that is the
// port of a proxy, another one for each two members; freezing it takes the leader from
// the follower, and needs neither root nor a firewall. Elections go on: they have ports
// of their own, and their outcome is of no use to a member that cannot reach whom it
// elected.

// way returns the port at which member i reaches the quorum port of member j.
func (e *Ensemble) way(i, j, port int) int {
	if i == j || !e.Servers[i].cfg.partitions {
		return port
	}
	proxy := StartProxy(e.tb, loopback(port))
	if e.ways == nil {
		e.ways = make(map[[2]int]*Proxy)
	}
	e.ways[[2]int{i, j}] = proxy
	return proxy.listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // StartProxy listens on TCP
}

// CutOff parts the server from all other members: their connections stay and nothing
// comes through. Its clients still reach it. A follower that was cut off goes on
// answering pings and reads until it gives its leader up, after SyncLimit ticks; then it
// hangs up on its clients and answers nobody until Heal. The ensemble must have been
// started with Partitions.
func (e *Ensemble) CutOff(s *Server) {
	e.tb.Helper()
	at := slices.Index(e.Servers, s)
	if at < 0 || len(e.ways) == 0 {
		e.tb.Fatalf("cut off %s: it is no member of this ensemble, or that was started without Partitions", s.Addr())
	}
	for ends, proxy := range e.ways {
		if slices.Contains(ends[:], at) {
			proxy.Freeze()
		}
	}
}

// Heal ends what CutOff did, to all members.
func (e *Ensemble) Heal() {
	for _, proxy := range e.ways {
		proxy.Heal()
	}
}
