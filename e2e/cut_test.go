package e2e

import (
	"net"
	"strings"
	"testing"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// behindProxy returns the flags of a process that others reach through a proxy only, and
// the proxy. The whole of 127.0.0.0/8 is loopback: the proxy has the port of the process
// at another address, the one that it advertises.
func behindProxy(t *testing.T) ([]string, *zookeepertest.Proxy) {
	t.Helper()
	const elsewhere = "127.0.0.2"
	rpc := lastingAddr(t)
	_, port, err := net.SplitHostPort(rpc)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--rpc", rpc, "--advertise", elsewhere}, zookeepertest.StartProxyAt(t, net.JoinHostPort(elsewhere, port), rpc)
}

// Connections go from the worker to the leader, and back. Each is broken in each way, for
// as long as it takes to be noticed. The task that runs survives that or is run again, and
// the job ends.
func TestBrokenConnectionsAreMadeAgain(t *testing.T) {
	t.Parallel()
	for name, strike := range map[string]func(*zookeepertest.Proxy){
		"cut":        (*zookeepertest.Proxy).Cut,
		"in silence": func(p *zookeepertest.Proxy) { p.Freeze() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flags, toLeader := behindProxy(t)
			c := startSeparate(t, 1, 0, flags...)
			flags, toWorker := behindProxy(t)
			w := startWorker(t, c.srv.Addr(), "worker-1", append(flags, "--session-timeout", "3s")...)
			// The worker's first call is the report of the end; the leader's are heartbeats.
			c.strike(t, "job-1", func() { strike(toLeader) }, w.process, "not registered at the job's master", toLeader.Heal)
			c.strike(t, "job-2", func() { strike(toWorker) }, c.agents[0].process, "worker is lost", toWorker.Heal)
		})
	}
}

// strike breaks a connection while a job runs, until somebody says that it is missed.
func (c *separate) strike(t *testing.T, id string, strike func(), who *process, says string, heal func()) {
	t.Helper()
	c.submit(t, strings.ReplaceAll(twoStages, "/go", "/"+id), id)
	c.awaitRuns(t, id, "work", 4)
	before := strings.Count(who.said(t), says)
	strike()
	c.letGo(t, id)
	eventually(t, who.id+" to say "+says, func() bool { return strings.Count(who.said(t), says) > before })
	c.letGo(t, id+"2")
	heal()
	c.wait(t, id)
	c.wantOnce(t, id, "sum", 1)
	t.Logf("%s: the first stage was started %d times", id, len(c.runs(t, id, "work")))
}
