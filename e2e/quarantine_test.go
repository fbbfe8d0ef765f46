package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func TestOverwrittenGraphIsPutAsideAndRunsOnceItIsRepaired(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t, zookeepertest.TickTime(200e6))
	agents := threeAgents(t, srv.Addr(), "--session-timeout", "4s")
	leader, epoch, standbys := awaitLeader(t, 0, agents...)
	dir := t.TempDir()
	all := addresses(agents...)
	const job = `
name: waits
tasks:
  - id: wait
    command: [sh, -c, 'while [ ! -e %[1]s/go ]; do sleep 0.05; done']
  - id: tell
    needs: [wait]
    command: [sh, -c, 'echo %[2]s >> %[1]s/log']
`
	const broken = "broken"
	ids := []string{"good-1", "good-2", broken, "good-3", "good-4", "good-5"}
	for _, id := range ids {
		wantExit(t, 0, "job", "submit", writeFile(t, id+".yaml", job, dir, id), "--id", id, "--address", all)
	}

	operator := session(t, srv)
	path := graphPath(t, broken)
	graph, _, err := operator.Get(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	overwrite := func(data []byte) {
		t.Helper()
		if err := operator.Multi(t.Context(), zookeeper.SetOp(path, data, -1)); err != nil {
			t.Fatal(err)
		}
	}
	garbage := []byte("\x00\xffgarbage")
	overwrite(garbage)
	leader.kill(t)
	_, next, _ := awaitLeader(t, epoch, standbys...)

	if q := quarantined(t, all); len(q) != 1 || string(q[0].ID) != broken || q[0].Reason == "" || int64(q[0].SinceEpoch) != next {
		t.Fatalf("in quarantine: %+v; want %s alone, with a reason, since epoch %d", q, broken, next)
	}
	letGo(t, dir)
	for _, id := range ids {
		if id != broken {
			wantExit(t, 0, "job", "wait", id, "--address", all)
		}
	}
	if snap := status(t, broken, standbys...); snap.Status != "SUSPENDED" {
		t.Errorf("the broken job is %s, want SUSPENDED", snap.Status)
	}
	if out := wantExit(t, 1, "recovery", "quarantine", "--retry", broken, "--address", all); !strings.Contains(out, broken) {
		t.Errorf("a retry of what is still broken says %q, want the job", out)
	}
	if got, _, err := operator.Get(t.Context(), path); err != nil || string(got) != string(garbage) {
		t.Errorf("the broken graph is %q, %v; want it untouched", got, err)
	}

	overwrite(graph)
	wantExit(t, 0, "recovery", "quarantine", "--retry", broken, "--address", all)
	wantExit(t, 0, "job", "wait", broken, "--address", all)
	if q := quarantined(t, all); len(q) != 0 {
		t.Errorf("in quarantine after the repair: %+v, want nothing", q)
	}
	told, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if n := strings.Count(string(told), id+"\n"); n != 1 {
			t.Errorf("%s told its end %d times, want once", id, n)
		}
	}
}

// graphPath is where the cluster keeps the graph of a job.
func graphPath(t *testing.T, id string) string {
	t.Helper()
	path, err := layout.Path(layout.Graphs, id)
	if err != nil {
		t.Fatal(err)
	}
	return "/coordd/test/" + path
}

// quarantined returns what coordd recovery quarantine lists.
func quarantined(t *testing.T, addresses string) []gateway.QuarantinedJob {
	t.Helper()
	var list struct {
		Quarantine []gateway.QuarantinedJob `json:"quarantine"`
	}
	out := wantExit(t, 0, "recovery", "quarantine", "-o", "json", "--address", addresses)
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return list.Quarantine
}
