package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/zookeeper"
)

// cluster is where the agents of these tests keep what they store.
const cluster = "/coordd/test"

// hand is somebody who changes ZooKeeper past coordd.
type hand struct{ *zookeeper.Session }

func newHand(t *testing.T, ensemble string) hand {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := zookeeper.Open(ctx, zookeeper.Config{Servers: []string{ensemble}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return hand{s}
}

// plant creates a node with its parents below the cluster's, and returns its path.
func (h hand) plant(t *testing.T, folder, id string, below ...string) string {
	t.Helper()
	relative, err := layout.Path(folder, id)
	if err != nil {
		t.Fatal(err)
	}
	relative = path.Join(append([]string{relative}, below...)...)
	full := path.Join(cluster, relative)
	err = h.EnsurePath(t.Context(), path.Dir(full), zookeeper.Persistent)
	if err == nil {
		err = h.Create(t.Context(), full, []byte("garbage"), zookeeper.Persistent)
	}
	if err != nil {
		t.Fatal(err)
	}
	return relative
}

func (h hand) wantThere(t *testing.T, full string, want bool) {
	t.Helper()
	if _, there, err := h.Exists(t.Context(), full); err != nil || there != want {
		t.Errorf("%s is there: %v, %v; want %v", full, there, err, want)
	}
}

func TestOperatorPutsInOrderWhatCrashesAndHandsLeft(t *testing.T) {
	t.Parallel()
	srv, flags := shortSession(t)
	h := newHand(t, srv.Addr())
	h.plant(t, layout.Graphs, "broken")
	h.plant(t, layout.Graphs, "hopeless")
	a := startAgent(t, srv.Addr(), "a", flags...)
	awaitLeader(t, 0, a)
	at := []string{"--address", a.url()}
	recovery := func(code int, pattern string, args ...string) {
		t.Helper()
		out := wantExit(t, code, append(append([]string{"recovery"}, args...), at...)...)
		if !regexp.MustCompile(pattern).MatchString(out) {
			t.Errorf("coordd recovery %s says %q, want what matches %s", strings.Join(args, " "), out, pattern)
		}
	}
	recovery(0, `(?s)epoch \d+: 0 jobs to clean up after, 2 in quarantine\n.*\nbroken +\S+ ago +\d+\n`, "status")
	recovery(1, `^coordd: retry job "broken": .*jobgraphs/../broken`, "quarantine", "--retry", "broken")
	recovery(0, `^job hopeless was given up and is FAILED\n$`, "quarantine", "--drop", "hopeless")
	recovery(0, `(?s)QUARANTINED.*broken`, "quarantine")

	lost := []string{
		h.plant(t, layout.Progress, "ghost"), h.plant(t, layout.Outputs, "ghost", "first"),
		h.plant(t, layout.Outputs, "empty"), h.plant(t, layout.Quarantine, "ghost"),
	}
	shown := wantExit(t, 0, append([]string{"recovery", "gc", "--dry-run"}, at...)...)
	for _, p := range lost {
		if !regexp.MustCompile(`(?m)^(progress|output|quarantine) +` + regexp.QuoteMeta(p) + `$`).MatchString(shown) {
			t.Errorf("gc --dry-run does not show %s:\n%s", p, shown)
		}
		h.wantThere(t, path.Join(cluster, p), true)
	}
	recovery(0, `(?m)^4 leftovers deleted$`, "gc")
	for _, p := range lost {
		h.wantThere(t, path.Join(cluster, p), false)
	}
	recovery(0, `^no leftovers\n$`, "gc")
	recovery(0, `^\{"quarantine":\[\{"id":"broken",`, "quarantine", "-o", "json")
}

func TestClusterIsDeletedOnlyWhenNobodyContends(t *testing.T) {
	t.Parallel()
	srv, flags := shortSession(t)
	h := newHand(t, srv.Addr())
	remove := []string{"cluster", "delete", "--zookeeper", srv.Addr(), "--cluster-id", "test"}
	wantExit(t, 2, append(remove, "--yes")...)
	a := startAgent(t, srv.Addr(), "a", flags...)
	awaitLeader(t, 0, a)
	out := wantExit(t, 1, append(remove, "--yes")...)
	if want := "coordd: /coordd/test is in use; these contend there: a; stop them first\n"; out != want {
		t.Errorf("it said %q, want %q", out, want)
	}
	h.plant(t, layout.Graphs, "unfinished")
	h.plant(t, layout.Outputs, "unfinished", "first", "deeper")
	h.plant(t, layout.Clean, "done")
	if err := h.EnsurePath(t.Context(), cluster+"/foreign/thing", zookeeper.Persistent); err != nil {
		t.Fatal(err)
	}
	a.signal(t, syscall.SIGTERM)
	<-a.exited

	out = wantExit(t, 1, remove...)
	for _, want := range []string{"jobgraphs          1\n", "1 job has not finished\n", "foreign", "coordd: --yes: is missing;"} {
		if !strings.Contains(out, want) {
			t.Errorf("it said\n%s\nwant %q in it", out, want)
		}
	}
	h.wantThere(t, cluster, true)
	var said struct {
		Unfinished int `json:"unfinished_jobs"`
		Deleted    int `json:"deleted_nodes"`
	}
	out = wantExit(t, 0, append(remove, "--yes", "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &said); err != nil || said.Unfinished != 1 || said.Deleted < 10 {
		t.Errorf("it said %s (%v), want 1 unfinished job and the nodes deleted", out, err)
	}
	h.wantThere(t, cluster, false)
	wantExit(t, 2, append(remove, "--yes")...)
}

func TestDeletionThatWasKilledCanBeRepeated(t *testing.T) {
	t.Parallel()
	srv, _ := shortSession(t)
	h := newHand(t, srv.Addr())
	const n = 3000
	for i := range n {
		h.plant(t, layout.Graphs, fmt.Sprintf("job-%d", i))
	}
	h.plant(t, layout.Clean, "done")
	args := []string{"cluster", "delete", "--zookeeper", srv.Addr(), "--cluster-id", "test", "--yes"}
	cmd := exec.Command(binary(), args...)
	// The bucket that is deleted first is gone before the others.
	buckets, _, err := h.Children(t.Context(), cluster+"/"+layout.Graphs)
	if err != nil {
		t.Fatal(err)
	}
	_, _, fired, err := h.WatchChildren(t.Context(), cluster+"/"+layout.Graphs+"/"+buckets[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-fired:
	case <-t.Context().Done():
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the deletion ended before it was killed")
	}
	h.wantThere(t, cluster, true)
	h.awaitNobody(t)
	wantExit(t, 0, args...)
	h.wantThere(t, cluster, false)
}

// awaitNobody waits until the session of the killed deletion has ended.
func (h hand) awaitNobody(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		names, _, fired, err := h.WatchChildren(ctx, cluster+"/latch")
		if errors.Is(err, zookeeper.ErrNoNode) || err == nil && len(names) == 0 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-fired:
		case <-ctx.Done():
			t.Fatalf("%v still contend", names)
		}
	}
}
