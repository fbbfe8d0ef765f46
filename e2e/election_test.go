package e2e

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/coordd/coordd/zookeeper"
)

// contenderList is what coordd election contenders -o json and /v1/contenders say.
type contenderList struct {
	Contenders []struct {
		ID    string `json:"id"`
		Epoch int64  `json:"epoch"`
		Leads bool   `json:"leads"`
	} `json:"contenders"`
}

// contenders returns who contends, and what coordd said of it.
func contenders(t *testing.T, ensemble string, flags ...string) (ids []string, list contenderList, said string) {
	t.Helper()
	said = wantExit(t, 0, append([]string{"election", "contenders", "--zookeeper", ensemble, "-o", "json"}, flags...)...)
	if err := json.Unmarshal([]byte(said), &list); err != nil {
		t.Fatalf("%s: %v", said, err)
	}
	for _, c := range list.Contenders {
		ids = append(ids, c.ID)
	}
	return ids, list, said
}

// varying finds what is another each time.
var varying = regexp.MustCompile(`"(epoch|since)":("[^"]*Z"|\d+)`)

// say runs a command of coordd election at the runs' latch, and checks its exit code
// and what it says.
func say(t *testing.T, ensemble string, code int, command []string, pattern string) {
	t.Helper()
	args := append([]string{"election"}, command...)
	out := wantExit(t, code, append(args, "--zookeeper", ensemble, "--latch", latch)...)
	if !regexp.MustCompile(pattern).MatchString(out) {
		t.Errorf("coordd %s says %q, want what matches %s", strings.Join(args, " "), out, pattern)
	}
}

// The session time-out is so long that leadership can pass only because it is asked
// for.
func TestTransferMovesACommandToTheOneThatIsNamed(t *testing.T) {
	t.Parallel()
	srv, flags := longSession(t)
	zk := srv.Addr()
	dir := t.TempDir()
	for _, command := range [][]string{{"contenders"}, {"resign"}, {"transfer", "--to", "a"}} {
		say(t, zk, 2, command, `^coordd: nobody contends at /runs/latch\n$`)
	}
	say(t, zk, 2, []string{"contenders", "-o", "json"}, `^\{"contenders":\[\]\}\n$`)

	onlooker := session(t, srv)
	startRun(t, dir, zk, "a", serve, flags...)
	first := awaitEntry(t, dir, 1)
	startRun(t, dir, zk, "b", serve, flags...)
	awaitContenders(t, onlooker, 2)
	c := startRun(t, dir, zk, "c", serve, flags...)
	awaitContenders(t, onlooker, 3)
	_, list, said := contenders(t, zk, "--latch", latch)
	const golden = `{"contenders":[` +
		`{"id":"a","epoch":?,"since":?,"leads":true,"foreign":false},` +
		`{"id":"b","epoch":?,"since":?,"leads":false,"foreign":false},` +
		`{"id":"c","epoch":?,"since":?,"leads":false,"foreign":false}]}` + "\n"
	if got := varying.ReplaceAllString(said, `"$1":?`); got != golden {
		t.Errorf("coordd election contenders -o json says\n%swant, with ? for what varies,\n%s", said, golden)
	}
	say(t, zk, 0, []string{"contenders"}, `^POSITION +ID +EPOCH +SINCE +STATE\n1 +a +\d+ +\S+ ago +leads\n2 +b +\d+ +\S+ ago +waits\n3 +c .* waits\n$`)
	if list.Contenders[0].Epoch != first.epoch {
		t.Errorf("the leader is listed with epoch %d, its command sees %d", list.Contenders[0].Epoch, first.epoch)
	}

	say(t, zk, 0, []string{"transfer", "--to", "c"}, `^a gave way; c leads in epoch \d+\n$`)
	second := awaitEntry(t, dir, 2)
	if second.id != "c" || second.epoch != list.Contenders[2].Epoch || !dead(first.pid) {
		t.Errorf("after the transfer the run is %+v, the former one is dead: %v; want c's in epoch %d and a dead one",
			second, dead(first.pid), list.Contenders[2].Epoch)
	}
	awaitContenders(t, onlooker, 3)
	if ids, _, _ := contenders(t, zk, "--latch", latch); !slices.Equal(ids, []string{"c", "b", "a"}) {
		t.Errorf("after the transfer %q contend, want c, then b, who waits on, then a, who contends again", ids)
	}
	say(t, zk, 0, []string{"transfer", "--to", "c"}, `^c leads already, in epoch \d+\n$`)
	say(t, zk, 1, []string{"transfer", "--to", "nowhere"}, `^coordd: "nowhere" does not contend at /runs/latch; these do: c, b, a\n$`)

	// One that cannot answer holds a transfer up, which is then taken back.
	c.signal(t, syscall.SIGSTOP)
	say(t, zk, 1, []string{"transfer", "--to", "b", "--timeout", "1s"}, `^coordd: gave up after 1s and took the request back: .*"c" .* leads and has not given way\n$`)
	c.signal(t, syscall.SIGCONT)
	say(t, zk, 0, []string{"resign", "-o", "json"}, `^\{"contenders":\[\{"id":"b",.*"leads":true`)
	if third := awaitEntry(t, dir, 3); third.id != "b" {
		t.Errorf("after the resignation the run is %+v, want b's", third)
	}
}

func TestTransferIsRefusedWhenAForeignContenderIsInTheWay(t *testing.T) {
	t.Parallel()
	srv, flags := longSession(t)
	dir := t.TempDir()
	a := startRun(t, dir, srv.Addr(), "a", serve, flags...)
	first := awaitEntry(t, dir, 1)
	s := session(t, srv)
	curator := latch + "/_c_0b8e3e5e-94c0-4e8e-bb5b-1c1f4b0a7a11-latch-0000000001"
	if err := s.Create(t.Context(), curator, []byte("java"), zookeeper.Ephemeral); err != nil {
		t.Fatal(err)
	}
	startRun(t, dir, srv.Addr(), "b", serve, flags...)
	awaitContenders(t, s, 3)
	say(t, srv.Addr(), 0, []string{"contenders"}, `\n2 +java +.* waits, foreign\n3 +b `)
	say(t, srv.Addr(), 1, []string{"transfer", "--to", "b"}, `^coordd: .*"java" .*a foreign contender is in the way; close it where it runs\n$`)
	if dead(first.pid) || len(entries(t, dir)) != 1 {
		t.Errorf("after a transfer that was refused a's command is dead: %v, runs %+v; want it alone, alive", dead(first.pid), entries(t, dir))
	}
	a.signal(t, syscall.SIGTERM)
	a.wantCode(t, 128+int(syscall.SIGTERM))
	eventually(t, "java to be first", func() bool {
		ids, _, _ := contenders(t, srv.Addr(), "--latch", latch)
		return slices.Equal(ids, []string{"java", "b"})
	})
	say(t, srv.Addr(), 1, []string{"resign"}, `^coordd: .*"java" .*a foreign contender is in the way`)
}

func TestTransferBetweenAgents(t *testing.T) {
	t.Parallel()
	srv, flags := longSession(t)
	agents := threeAgents(t, srv.Addr(), flags...)
	cluster := []string{"--cluster-id", "test"}
	leader, epoch, standbys := awaitLeader(t, 0, agents...)
	var ids []string
	eventually(t, "three contenders", func() bool { ids, _, _ = contenders(t, srv.Addr(), cluster...); return len(ids) == len(agents) })
	to := ids[2]
	wantExit(t, 0, "election", "transfer", "--zookeeper", srv.Addr(), "--cluster-id", "test", "--to", to)
	next, _, _ := awaitLeader(t, epoch, agents...)
	if next.id != to {
		t.Errorf("after a transfer from %s to %s %s leads", leader.id, to, next.id)
	}
	// All say the same, whoever is asked.
	var want string
	eventually(t, "three contenders", func() bool { ids, _, want = contenders(t, srv.Addr(), cluster...); return len(ids) == len(agents) })
	for _, a := range append(standbys, leader) {
		if status, body := a.get(t, "/v1/contenders"); status != http.StatusOK || body != want {
			t.Errorf("%s answers /v1/contenders with %d\n%swant what coordd election contenders says\n%s", a.id, status, body, want)
		}
	}
	if wants := []string{to, ids[1], leader.id}; !slices.Equal(ids, wants) {
		t.Errorf("after the transfer %q contend, want %q", ids, wants)
	}
}
