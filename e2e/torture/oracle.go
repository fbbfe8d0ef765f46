package main

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// root is the cluster's path in ZooKeeper.
const root = "/coordd/" + clusterID

// oracle goes through a history and notes what must not be. It is used once, by one
// goroutine.
type oracle struct {
	// began holds the transaction that created each latch node; live are those that
	// exist.
	began map[string]int64
	live  map[string]bool
	// newest is the latest term that wrote, and terms counts them.
	newest, published int64
	terms, guarded    int
	jobs              map[job.ID]*life
	// ids holds the participant of each term; late are the starts by a term that was
	// over.
	ids        map[int64]string
	late       []started
	violations []string
}

// life is what the log says of one job.
type life struct {
	graph, progress, dirty, clean bool
	accepted                      time.Time // zero when never
	ended                         time.Time // zero when it has no result
	result                        outcome
}

// outcome is the part of a result that must never change.
type outcome struct {
	status job.Status
	epoch  int64
	digest string
	at     time.Time
}

// same compares what clients are told, which is all but the digest.
func (r outcome) same(other outcome) bool {
	return r.status == other.status && r.epoch == other.epoch && r.at.Equal(other.at)
}

func newOracle() *oracle {
	return &oracle{began: make(map[string]int64), live: make(map[string]bool), ids: make(map[int64]string), jobs: make(map[job.ID]*life)}
}

func (o *oracle) violated(invariant, format string, args ...any) {
	o.violations = append(o.violations, invariant+": "+fmt.Sprintf(format, args...))
}

// follow goes through the history, which must begin with the cluster.
func (o *oracle) follow(history []zookeepertest.Txn) {
	for _, txn := range history {
		if txn.Failed() {
			continue
		}
		if term, ours := o.writer(txn); ours {
			o.publication(txn, term)
			o.stored(txn)
		}
		o.contend(txn)
	}
}

// contend keeps the latch in step.
func (o *oracle) contend(txn zookeepertest.Txn) {
	for _, gone := range txn.Paths {
		delete(o.live, gone)
	}
	for _, w := range txn.Writes() {
		if path.Dir(w.Path) != root+"/latch" {
			continue
		}
		switch w.Op {
		case zookeepertest.OpCreate:
			o.began[w.Path], o.live[w.Path] = txn.Zxid, true
			o.ids[txn.Zxid] = string(w.Data)
		case zookeepertest.OpDelete:
			delete(o.live, w.Path)
		}
	}
}

// writer returns the term that a leader's transaction belongs to, and false for what
// is no leader's: contending, and the making of empty parents.
func (o *oracle) writer(txn zookeepertest.Txn) (term int64, ours bool) {
	within, contends, parents := false, true, true
	for _, w := range txn.Writes() {
		below, found := strings.CutPrefix(w.Path, root+"/")
		within = within || found
		contends = contends && strings.HasPrefix(below, "latch/")
		parents = parents && w.Op != zookeepertest.OpDelete && w.Op != zookeepertest.OpSetData && len(w.Data) == 0 && !w.Ephemeral
	}
	if !within || contends || parents && txn.Op != zookeepertest.OpMulti {
		return 0, false
	}
	if txn.Op != zookeepertest.OpMulti || txn.Ops[0].Op != zookeepertest.OpCheck || o.began[txn.Ops[0].Path] == 0 {
		o.violated("I1", "a write without a guard: %v", brief(txn))
		return 0, false
	}
	guard := txn.Ops[0].Path
	term = o.began[guard]
	o.guarded++
	if term < o.newest {
		o.violated("I1", "a write of term %#x after one of term %#x: %v", term, o.newest, brief(txn))
	}
	if first := o.lowest(); first != guard {
		o.violated("I1", "a write under the guard of %s while %s leads: %v", guard, first, brief(txn))
	}
	if term > o.newest {
		o.newest = term
		o.terms++
	}
	return term, true
}

// lowest returns the latch node that leads.
func (o *oracle) lowest() (first string) {
	least := int64(0)
	for node := range o.live {
		n, err := strconv.ParseInt(node[strings.LastIndex(node, "-")+1:], 10, 64)
		if err == nil && (first == "" || n < least) {
			first, least = node, n
		}
	}
	return first
}

// publication holds leader information to the term that wrote it.
func (o *oracle) publication(txn zookeepertest.Txn, term int64) {
	for _, w := range txn.Writes() {
		if path.Dir(w.Path) != root+"/leader" || w.Op == zookeepertest.OpDelete {
			continue
		}
		var info struct {
			Epoch int64 `json:"epoch"`
		}
		if err := json.Unmarshal(w.Data, &info); err != nil {
			o.violated("I2", "zxid %#x publishes %q: %v", txn.Zxid, w.Data, err)
			continue
		}
		if info.Epoch != term || info.Epoch < o.published {
			o.violated("I2", "term %#x publishes epoch %#x after %#x", term, info.Epoch, o.published)
		}
		o.published = max(o.published, info.Epoch)
	}
}

// stored follows the jobs through a leader's transaction: each change by itself, and
// then all of them together.
func (o *oracle) stored(txn zookeepertest.Txn) {
	var touched []job.ID
	was := make(map[job.ID]life)
	for _, w := range txn.Writes() {
		folder, id, ok := o.value(w.Path)
		if !ok {
			continue
		}
		l := o.jobs[id]
		if l == nil {
			l = &life{}
			o.jobs[id] = l
		}
		if !slices.Contains(touched, id) {
			touched = append(touched, id)
			was[id] = *l
		}
		o.change(l, folder, id, w)
	}
	for _, id := range touched {
		o.step(id, was[id], *o.jobs[id], txn)
	}
}

// value splits the path of a job's value.
func (o *oracle) value(p string) (folder string, id job.ID, ok bool) {
	below, found := strings.CutPrefix(p, root+"/")
	if !found {
		return "", "", false
	}
	for _, folder := range []string{layout.Graphs, layout.Progress, layout.Dirty, layout.Clean} {
		if rest, found := strings.CutPrefix(below, folder+"/"); found {
			if bucket, name, deep := strings.Cut(rest, "/"); deep && bucket == layout.Bucket(name) {
				return folder, job.ID(name), true
			}
		}
	}
	return "", "", false
}

// change is one write of one value.
func (o *oracle) change(l *life, folder string, id job.ID, w zookeepertest.Txn) {
	there := w.Op != zookeepertest.OpDelete
	if folder != layout.Progress && w.Op == zookeepertest.OpSetData {
		o.violated("I7", "%s of job %s was overwritten at zxid %#x", folder, id, w.Zxid)
	}
	switch folder {
	case layout.Graphs:
		if there && !l.accepted.IsZero() {
			o.violated("I8", "job %s was accepted a second time at zxid %#x", id, w.Zxid)
		}
		if l.graph = there; there {
			l.accepted = w.Time
		}
	case layout.Progress:
		if there && (l.dirty || l.clean) {
			o.violated("I8", "progress of job %s was recorded after its result, at zxid %#x", id, w.Zxid)
		}
		l.progress = there
	case layout.Dirty:
		if l.dirty = there; there {
			o.ends(l, id, w)
		}
	case layout.Clean:
		if l.clean = there; there {
			o.cleaned(l, id, w)
		} else {
			o.violated("I7", "the result of job %s was deleted at zxid %#x", id, w.Zxid)
		}
	}
}

// ends is the record of a result.
func (o *oracle) ends(l *life, id job.ID, w zookeepertest.Txn) {
	if !l.ended.IsZero() {
		o.violated("I7", "job %s got a second result at zxid %#x", id, w.Zxid)
		return
	}
	result, err := parseResult(w.Data)
	if err != nil {
		o.violated("I7", "the result of job %s at zxid %#x: %v", id, w.Zxid, err)
	}
	l.ended, l.result = w.Time, result
}

// cleaned is the move of a result to where it is kept.
func (o *oracle) cleaned(l *life, id job.ID, w zookeepertest.Txn) {
	if l.ended.IsZero() {
		o.violated("I7", "job %s got a clean result at zxid %#x without a dirty one before", id, w.Zxid)
		return
	}
	result, err := parseResult(w.Data)
	if err != nil || result != l.result {
		o.violated("I7", "the result of job %s changed from %+v to %+v at zxid %#x (%v)", id, l.result, result, w.Zxid, err)
	}
}

// step holds a whole transaction to what must come and go together.
func (o *oracle) step(id job.ID, before, after life, txn zookeepertest.Txn) {
	switch {
	case after.graph != after.progress:
		o.violated("I6", "job %s has graph %t and progress %t after zxid %#x", id, after.graph, after.progress, txn.Zxid)
	case before.graph && !after.graph && !(before.dirty && after.clean):
		o.violated("I6", "the graph of job %s was deleted at zxid %#x and no clean result came for it", id, txn.Zxid)
	case before.dirty && !after.dirty && !after.clean:
		o.violated("I7", "the dirty result of job %s was deleted at zxid %#x and no clean one came for it", id, txn.Zxid)
	case after.clean && (after.graph || after.dirty):
		o.violated("I9", "job %s is clean at zxid %#x, and graph %t, dirty %t are left", id, txn.Zxid, after.graph, after.dirty)
	case after.dirty && !before.dirty && !after.graph:
		o.violated("I6", "job %s got a result at zxid %#x and has no graph", id, txn.Zxid)
	}
}

// settled holds the end of the history to what must be when everything has ended.
func (o *oracle) settled() {
	for id, l := range o.jobs {
		if !l.clean || l.graph || l.dirty || l.progress {
			o.violated("I9", "job %s ends with graph %t, progress %t, dirty %t, clean %t", id, l.graph, l.progress, l.dirty, l.clean)
		}
	}
}

// parseResult reads the stored form of a result.
func parseResult(stored []byte) (outcome, error) {
	var r struct {
		job.Result
	}
	if err := envelope.Open("job result", 1, stored, &r); err != nil {
		return outcome{}, err
	}
	return outcome{status: r.Snapshot.Status, epoch: r.Snapshot.Epoch, digest: r.Digest, at: r.Snapshot.FinishedAt.UTC()}, nil
}

// brief is a transaction without its data.
func brief(txn zookeepertest.Txn) string {
	var b strings.Builder
	fmt.Fprintf(&b, "zxid %#x", txn.Zxid)
	ops := txn.Ops
	if txn.Op != zookeepertest.OpMulti {
		ops = []zookeepertest.Txn{txn}
	}
	for i, op := range ops {
		if i == 6 {
			fmt.Fprintf(&b, " and %d more", len(ops)-i)
			break
		}
		fmt.Fprintf(&b, " %s %s", op.Op, op.Path)
	}
	return b.String()
}
