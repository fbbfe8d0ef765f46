package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	latch = root + "/latch/_c_9e7a-latch-"
	nodeA = latch + "0000000001"
	nodeB = latch + "0000000002"
)

var birth = time.UnixMilli(1_700_000_000_000)

// at is when the transaction n is taken.
func at(n int64) time.Time { return birth.Add(time.Duration(n) * time.Second) }

// tape makes histories: each entry gets the next zxid.
type tape struct {
	t    *testing.T
	txns []zookeepertest.Txn
}

func (p *tape) add(txn zookeepertest.Txn) {
	txn.Zxid = int64(len(p.txns) + 1)
	txn.Time = at(txn.Zxid)
	for i := range txn.Ops {
		txn.Ops[i].Zxid, txn.Ops[i].Time = txn.Zxid, txn.Time
	}
	p.txns = append(p.txns, txn)
}

func create(p string, data []byte) zookeepertest.Txn {
	return zookeepertest.Txn{Op: zookeepertest.OpCreate, Path: p, Data: data}
}

func remove(p string) zookeepertest.Txn {
	return zookeepertest.Txn{Op: zookeepertest.OpDelete, Path: p}
}

func set(p string, data []byte) zookeepertest.Txn {
	return zookeepertest.Txn{Op: zookeepertest.OpSetData, Path: p, Data: data}
}

// guarded writes in the term of a latch node.
func (p *tape) guarded(node string, ops ...zookeepertest.Txn) {
	p.add(zookeepertest.Txn{Op: zookeepertest.OpMulti, Ops: append([]zookeepertest.Txn{{Op: zookeepertest.OpCheck, Path: node}}, ops...)})
}

func stored(folder string) string {
	full, err := layout.Path(folder, "j")
	if err != nil {
		panic(err)
	}
	return root + "/" + full
}

// result is the stored form of a result of term epoch.
func (p *tape) result(status job.Status, epoch int64) []byte {
	p.t.Helper()
	data, err := envelope.Seal(struct {
		Version int `json:"v"`
		job.Result
	}{1, job.Result{Snapshot: job.Snapshot{ID: "j", Status: status, Epoch: epoch, FinishedAt: birth}, Digest: "d"}})
	if err != nil {
		p.t.Fatal(err)
	}
	return data
}

func (p *tape) publish(node string, epoch int64) {
	data, err := json.Marshal(map[string]int64{"epoch": epoch})
	if err != nil {
		p.t.Fatal(err)
	}
	p.guarded(node, create(root+"/leader/dispatcher", data))
}

// The transactions of a life in order. A's term is 1 and B's is 2.
func (p *tape) elect() { p.add(create(nodeA, nil)); p.add(create(nodeB, nil)) }
func (p *tape) depose() {
	p.add(zookeepertest.Txn{Op: zookeepertest.OpCloseSession, Paths: []string{nodeA}})
}
func (p *tape) accept(node string) {
	p.guarded(node, create(stored(layout.Graphs), []byte("g")), create(stored(layout.Progress), []byte("p")))
}
func (p *tape) end(node string, epoch int64) {
	p.guarded(node, create(stored(layout.Dirty), p.result(job.StatusFinished, epoch)))
}
func (p *tape) clean(node string, epoch int64) {
	p.guarded(node, remove(stored(layout.Graphs)), remove(stored(layout.Progress)), remove(stored(layout.Dirty)),
		create(stored(layout.Clean), p.result(job.StatusFinished, epoch)))
}

// judge returns what an oracle finds in a history with the starts and entries.
func (p *tape) judge(entries []entry, runs []started) []string {
	o := newOracle()
	o.follow(p.txns)
	o.settled()
	o.told(entries)
	o.ran(runs, nil)
	return o.violations
}

// wholeLife is a job that A accepts and B ends: elect 1 2, publish 3, accept 4, depose
// 5, publish 6, end 7, clean 8.
func wholeLife(t *testing.T) *tape {
	t.Helper()
	p := &tape{t: t}
	p.elect()
	p.publish(nodeA, 1)
	p.accept(nodeA)
	p.depose()
	p.publish(nodeB, 2)
	p.end(nodeB, 2)
	p.clean(nodeB, 2)
	return p
}

// worker is the process that starts everything.
const worker = 77

func startsOf() []started {
	ms := func(n int64) time.Time { return at(6).Add(time.Duration(n) * time.Millisecond) }
	return []started{
		{"j", first, 0, 1, 1, worker, ms(-500)}, {"j", first, 0, 2, 1, worker, ms(1)},
		{"j", first, 1, 2, 1, worker, ms(2)}, {"j", second, 0, 2, 1, worker, ms(3)},
	}
}

var acknowledged = []entry{{id: "j", kind: quick, acked: true}}

func TestAnInnocentHistoryHasNoViolation(t *testing.T) {
	if found := wholeLife(t).judge(acknowledged, startsOf()); len(found) > 0 {
		t.Errorf("the oracle finds %q, want nothing", found)
	}
}

// Each history breaks one rule, which the oracle must name.
func TestTheOracleSeesWhatAHistoryBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		want  string
		write func(p *tape)
	}{
		"an old term writes":       {"I1", func(p *tape) { p.end(nodeB, 2); p.clean(nodeA, 2) }},
		"a term before its turn":   {"I1", func(p *tape) { p.txns = p.txns[:4]; p.end(nodeB, 2); p.clean(nodeB, 2) }},
		"no guard":                 {"I1", func(p *tape) { p.add(create(stored(layout.Dirty), []byte("x"))) }},
		"a guard that is no latch": {"I1", func(p *tape) { p.end(root+"/leader", 2); p.clean(root+"/leader", 2) }},
		"another's epoch":          {"I2", func(p *tape) { p.end(nodeB, 2); p.clean(nodeB, 2); p.publish(nodeB, 1) }},
		"a graph without progress": {"I6", func(p *tape) { p.guarded(nodeB, remove(stored(layout.Progress))) }},
		"a graph that vanishes":    {"I6", func(p *tape) { p.guarded(nodeB, remove(stored(layout.Graphs)), remove(stored(layout.Progress))) }},
		"a graph before the result": {"I6", func(p *tape) {
			p.guarded(nodeB, remove(stored(layout.Graphs)), remove(stored(layout.Progress)))
			p.end(nodeB, 2)
		}},
		"a second result": {"I7", func(p *tape) { p.end(nodeB, 2); p.clean(nodeB, 2); p.end(nodeB, 2) }},
		"a result overwritten": {"I7", func(p *tape) {
			p.end(nodeB, 2)
			p.guarded(nodeB, set(stored(layout.Dirty), p.result(job.StatusFailed, 2)))
		}},
		"a result that changes":     {"I7", func(p *tape) { p.end(nodeB, 1); p.clean(nodeB, 2) }},
		"a clean result at once":    {"I7", func(p *tape) { p.clean(nodeB, 2) }},
		"a result deleted":          {"I7", func(p *tape) { p.end(nodeB, 2); p.clean(nodeB, 2); p.guarded(nodeB, remove(stored(layout.Clean))) }},
		"a dirty result deleted":    {"I7", func(p *tape) { p.end(nodeB, 2); p.guarded(nodeB, remove(stored(layout.Dirty))) }},
		"another status":            {"I7", func(p *tape) { p.guarded(nodeB, create(stored(layout.Dirty), p.result(job.StatusFailed, 2))) }},
		"accepted again":            {"I8", func(p *tape) { p.end(nodeB, 2); p.clean(nodeB, 2); p.accept(nodeB) }},
		"progress after the result": {"I8", func(p *tape) { p.end(nodeB, 2); p.guarded(nodeB, set(stored(layout.Progress), []byte("p"))) }},
		"a result that stays dirty": {"I9", func(p *tape) { p.end(nodeB, 2) }},
		"a job that does not end":   {"I9", func(*tape) {}},
		"clean while the graph stays": {"I9", func(p *tape) {
			p.end(nodeB, 2)
			p.guarded(nodeB, remove(stored(layout.Dirty)), create(stored(layout.Clean), p.result(job.StatusFinished, 2)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := wholeLife(t)
			p.txns = p.txns[:6]
			c.write(p)
			found := p.judge(acknowledged, startsOf())
			if !slices.ContainsFunc(found, func(v string) bool { return strings.HasPrefix(v, c.want+":") }) {
				t.Errorf("the oracle finds %q, want a violation of %s", found, c.want)
			}
		})
	}
}

func TestTheOracleSeesWhatClientsWereToldInVain(t *testing.T) {
	for name, c := range map[string]struct {
		want  string
		entry entry
	}{
		"lost":             {"I6: job k was acknowledged", entry{id: "k", kind: quick, acked: true}},
		"wrong end":        {"I7: job j of kind failing", entry{id: "j", kind: failing, acked: true}},
		"seen differently": {"I7: a client saw job j", entry{id: "j", kind: quick, acked: true, seen: &outcome{status: job.StatusFinished, epoch: 1, at: birth}}},
	} {
		if found := wholeLife(t).judge([]entry{c.entry}, startsOf()); len(found) != 1 || !strings.HasPrefix(found[0], c.want) {
			t.Errorf("%s: the oracle finds %q, want one that begins with %q", name, found, c.want)
		}
	}
	innocent := []entry{{id: "k", kind: quick}, {id: "j", kind: quick, acked: true, canceled: true, seen: &outcome{status: job.StatusFinished, epoch: 2, at: birth}}}
	if found := wholeLife(t).judge(innocent, startsOf()); len(found) > 0 {
		t.Errorf("a job that nobody acknowledged and one that ended before it was canceled: the oracle finds %q, want nothing", found)
	}
}

func TestTheOracleSeesWhatMustNotStart(t *testing.T) {
	for name, c := range map[string]struct {
		want string
		run  started
	}{
		"after the result":       {"I8: job j started again", started{"j", second, 0, 2, 2, worker, at(9)}},
		"in a later term":        {"I8: job j started again", started{"j", second, 0, 3, 1, worker, at(9)}},
		"before the acceptance":  {"I6: job j ran before", started{"j", first, 0, 1, 2, worker, at(3)}},
		"without an acceptance":  {"I6: job k ran before", started{"k", first, 0, 1, 1, worker, at(6)}},
		"the same attempt twice": {"I8: an attempt started twice", startsOf()[3]},
		"a stage built upon":     {"I8: ", started{"j", first, 0, 2, 2, worker, at(6).Add(500 * time.Millisecond)}},
	} {
		if found := wholeLife(t).judge(acknowledged, append(startsOf(), c.run)); len(found) != 1 || !strings.HasPrefix(found[0], c.want) {
			t.Errorf("%s: the oracle finds %q, want one that begins with %q", name, found, c.want)
		}
	}
	late := started{"j", first, 1, 1, 1, worker, at(9)}
	if found := wholeLife(t).judge(acknowledged, append(startsOf(), late)); len(found) > 0 {
		t.Errorf("a late start of a term that is over: the oracle finds %q, want nothing", found)
	}
	o := newOracle()
	o.late, o.ids[1] = []started{late}, "node-1"
	for p, excused := range map[paused]bool{
		{"node-1", 1, at(6), at(9)}: true, {"node-2", worker, at(6), at(9)}: true,
		{"node-2", 1, at(6), at(9)}: false, {"node-2", worker, at(6), at(7)}: false,
	} {
		if got := len(o.unexplained([]paused{p})) == 0; got != excused {
			t.Errorf("a late start of node-1's term is excused by %+v: %t, want %t", p, got, excused)
		}
	}
	o = newOracle()
	o.follow(wholeLife(t).txns)
	after := append(startsOf(), started{"j", second, 0, 2, 2, worker, at(9)})
	if o.ran(after, []paused{{"node-2", worker, at(6), at(9)}}); len(o.violations) > 0 || len(o.late) != 1 {
		t.Errorf("a late start by a worker that wakes up: the oracle finds %q and %d late starts, want one of these only", o.violations, len(o.late))
	}
	if found := wholeLife(t).judge(acknowledged, startsOf()[:3]); len(found) != 1 || !strings.Contains(found[0], "never started") {
		t.Errorf("a FINISHED job whose last stage did not start: the oracle finds %q, want that", found)
	}
}

func TestLogsOfAMajorityMakeAHistory(t *testing.T) {
	log := func(zxids ...int64) (txns []zookeepertest.Txn) {
		for _, z := range zxids {
			txns = append(txns, zookeepertest.Txn{Zxid: z})
		}
		return txns
	}
	const next = 1 << 32
	history, err := merge([][]zookeepertest.Txn{log(1, 2, 3, 4), log(1, 2, 3, next+1), log(1, 2, next+1, next+2)})
	if got, want := fmt.Sprint(history), fmt.Sprint(log(1, 2, 3, next+1)); err != nil || got != want {
		t.Errorf("merged to %v, %v; want %v", got, err, want)
	}
	if _, err := merge([][]zookeepertest.Txn{log(1, 3), log(1, 3)}); err == nil || !strings.Contains(err.Error(), "hole before zxid 0x3") {
		t.Errorf("logs with a hole merge with %v, want an error that names it", err)
	}
}

func TestAStartIsReadAsItIsWritten(t *testing.T) {
	got, err := parseRun("job-1 first 1 4294967297 2 77 1700000000123456")
	if want := (started{"job-1", "first", 1, 4294967297, 2, 77, time.UnixMicro(1700000000123456)}); err != nil || got != want {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	for _, line := range []string{"job-1 first 1 2 2 77", "job-1 first one 1 1 77 1"} {
		if _, err := parseRun(line); err == nil {
			t.Errorf("%q is read without an error", line)
		}
	}
}
