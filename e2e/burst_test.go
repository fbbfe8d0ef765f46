package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// burst is many clients that submit each ID once, to one node, and never again.
type burst struct {
	mu       sync.Mutex
	acked    []job.ID
	answered int           // acknowledged or not
	half     chan struct{} // closed when half of the first wave was acknowledged
}

const (
	burstJobs    = 200
	burstClients = 16
)

// wave submits the IDs of a wave, spread over the nodes.
func (b *burst) wave(ctx context.Context, t *testing.T, name string, nodes []*client.Client) {
	t.Helper()
	var next atomic.Int64
	var running sync.WaitGroup
	for range burstClients {
		running.Go(func() {
			for n := int(next.Add(1)) - 1; n < burstJobs; n = int(next.Add(1)) - 1 {
				id := job.ID(fmt.Sprintf("%s-%03d", name, n))
				_, _, err := nodes[n%len(nodes)].Submit(ctx, id, []byte("name: burst\ntasks: [{id: a, command: [\"true\"]}]\n"))
				b.note(id, err)
			}
		})
	}
	running.Wait()
}

func (b *burst) note(id job.ID, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered++
	if err != nil {
		return
	}
	if b.acked = append(b.acked, id); len(b.acked) == burstJobs/2 {
		close(b.half)
	}
}

// A request that the leader had read when it was stopped goes on when it wakes up:
// then it must be refused as a whole, and the client must not have been told
// otherwise.
func TestBurstOverAPausedLeaderLosesNothingAndLeavesNothingHalfWritten(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t, zookeepertest.TickTime(200e6), zookeepertest.MaxSessionTimeout(8*time.Second))
	// A leader ends its process when a hundred jobs have not stopped within T/8.
	agents := threeAgents(t, srv.Addr(), "--session-timeout", "8s")
	leader, epoch, standbys := awaitLeader(t, 0, agents...)
	nodes := clients(t, agents...)
	b := &burst{half: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	var running sync.WaitGroup
	running.Go(func() { b.wave(ctx, t, "first", nodes) })
	select {
	case <-b.half:
	case <-ctx.Done():
		t.Fatalf("waited %v for half of %d submissions to be acknowledged", patience, burstJobs)
	}
	leader.signal(t, syscall.SIGSTOP)
	_, next, _ := awaitLeader(t, epoch, standbys...)
	running.Go(func() { b.wave(ctx, t, "second", nodes) })
	leader.signal(t, syscall.SIGCONT)
	eventually(t, "the old leader to know the new one", func() bool {
		l, ready := leaderOf(t, leader)
		return ready && !l.IsSelf && l.Leader.Epoch == next
	})
	running.Wait()
	if len(b.acked) == b.answered {
		t.Errorf("all %d submissions were acknowledged: none met the pause", b.answered)
	}

	var ended []job.Snapshot
	eventually(t, "all jobs to end", func() bool {
		var err error
		ended, err = nodes[0].Jobs(ctx)
		return err == nil && !slices.ContainsFunc(ended, func(s job.Snapshot) bool { return !s.Status.Terminal() })
	})
	known := make(map[job.ID]job.Status)
	for _, s := range ended {
		known[s.ID] = s.Status
	}
	for _, id := range b.acked {
		if known[id] != job.StatusFinished {
			t.Errorf("job %s was acknowledged and is %q, want FINISHED", id, known[id])
		}
	}
	accepted := checkAcceptedAsAWhole(t, srv)
	for id := range known {
		if !accepted[id] {
			t.Errorf("job %s is known, and the server's log does not say that it was accepted", id)
		}
	}
	checkOneWriter(t, srv)
	t.Logf("%d submissions, %d acknowledged, %d accepted", b.answered, len(b.acked), len(accepted))
}

// clients returns a client of each agent that asks once.
func clients(t *testing.T, agents ...*agent) []*client.Client {
	t.Helper()
	var all []*client.Client
	for _, a := range agents {
		c, err := client.New(client.Config{Addresses: []string{a.http}, Patience: -1, Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		all = append(all, c)
	}
	return all
}

// checkAcceptedAsAWhole reads the server's transaction log and checks that graphs and
// progress are only ever created and deleted together. It returns the jobs that were
// accepted.
func checkAcceptedAsAWhole(t *testing.T, srv *zookeepertest.Server) map[job.ID]bool {
	t.Helper()
	accepted := make(map[job.ID]bool)
	for _, txn := range srv.Txns(t) {
		balance := make(map[string]int)
		for _, w := range txn.Writes() {
			parts := strings.Split(strings.TrimPrefix(w.Path, "/coordd/test/"), "/")
			if len(parts) != 3 || w.Op == zookeepertest.OpSetData {
				continue
			}
			switch name := string(w.Op) + " of " + parts[2]; parts[0] {
			case layout.Graphs:
				balance[name]++
				accepted[job.ID(parts[2])] = true
			case layout.Progress:
				balance[name]--
			}
		}
		for name, n := range balance {
			if n != 0 {
				t.Errorf("zxid %#x: the %s is of graph or progress alone", txn.Zxid, name)
			}
		}
	}
	return accepted
}
