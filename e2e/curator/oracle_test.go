package curator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// verdict is what the transaction log says about one latch.
type verdict struct {
	// wrong holds every breach of the rules.
	wrong []string
	// checks counts, by latch node, the guarded writes and renewals that were accepted.
	checks map[string]int
	// created is by which transaction each latch node came.
	created map[string]int64
	// claims are the latch nodes in whose name was written, in the order of the writes,
	// without those of no consequence (see claim).
	claims []string
}

// replay reads the log in its order and holds these rules at a latch:
//
//   - whatever checks a latch node first (all writes and renewals of ours) is accepted
//     only while that node is the lowest contender, and the first of these is a check
//     alone, the confirmation of the grant;
//   - whatever is written below claims is written in the name of the lowest contender,
//     by a guarded write of ours or by the session that owns Curator's node;
//   - nobody sets the data of a latch node.
func replay(txns []zookeepertest.Txn, latch, claims string) verdict {
	v := verdict{checks: make(map[string]int), created: make(map[string]int64)}
	owners := make(map[string]int64) // of the living contenders
	for _, txn := range txns {
		guard := guardOf(txn, latch)
		if guard != "" {
			if v.checks[guard]++; v.checks[guard] == 1 && len(txn.Ops) > 1 {
				v.wrong = append(v.wrong, fmt.Sprintf("%v writes before its leadership was confirmed", txn))
			}
			v.judge(txn, owners, guard)
		}
		for _, w := range txn.Writes() {
			node, inLatch := strings.CutPrefix(w.Path, latch+"/")
			switch {
			case inLatch && w.Op == zookeepertest.OpCreate:
				owners[node], v.created[node] = txn.Session, txn.Zxid
			case inLatch && w.Op == zookeepertest.OpDelete:
				delete(owners, node)
			case inLatch:
				v.wrong = append(v.wrong, fmt.Sprintf("%v touches a latch node", txn))
			case w.Op == zookeepertest.OpCreate && strings.HasPrefix(w.Path, claims+"/"):
				v.claim(txn, owners, guard, string(w.Data))
			}
		}
		for _, gone := range txn.Paths {
			delete(owners, strings.TrimPrefix(gone, latch+"/"))
		}
	}
	return v
}

// guardOf returns the latch node that an accepted multi checks first, "" for none.
func guardOf(txn zookeepertest.Txn, latch string) string {
	if txn.Op != zookeepertest.OpMulti || txn.Failed() || len(txn.Ops) == 0 || txn.Ops[0].Op != zookeepertest.OpCheck {
		return ""
	}
	node, _ := strings.CutPrefix(txn.Ops[0].Path, latch+"/")
	if node == txn.Ops[0].Path {
		return ""
	}
	return node
}

// claim judges a write in the name of a contender. One without a guard that comes in
// another session than the contender's is Curator's to answer for: nothing keeps a
// leader of its from writing when it has lost leadership and does not know yet.
func (v *verdict) claim(txn zookeepertest.Txn, owners map[string]int64, guard, node string) {
	switch {
	case guard != "" && guard != node:
		v.wrong = append(v.wrong, fmt.Sprintf("%v is guarded by %s", txn, guard))
	case guard != "": // judged
	case owners[node] == txn.Session:
		v.judge(txn, owners, node)
	default:
		return
	}
	v.claims = append(v.claims, node)
}

// judge holds that the node is the lowest of the living.
func (v *verdict) judge(txn zookeepertest.Txn, owners map[string]int64, node string) {
	lowest := ""
	for other := range owners {
		if lowest == "" || bySequence(other, lowest) < 0 {
			lowest = other
		}
	}
	if lowest != node {
		v.wrong = append(v.wrong, fmt.Sprintf("%v acts for %s while %q is the lowest contender", txn, node, lowest))
	}
}

// bySequence orders latch nodes as Curator does, by the text behind the last "latch-".
func bySequence(a, b string) int { return cmp.Compare(sequence(a), sequence(b)) }

func sequence(name string) string { return name[strings.LastIndex(name, "latch-")+len("latch-"):] }

// check replays the log, and holds that each grant that a participant of ours reported
// was confirmed by the server, and that each term of ours is named after its node.
func (g *ground) check(t *testing.T, srv *zookeepertest.Server) {
	t.Helper()
	v := replay(srv.Txns(t), g.latch, g.claims)
	for _, wrong := range v.wrong {
		t.Error(wrong)
	}
	if len(v.claims) < 3 {
		t.Errorf("the log shows %d claims, want those of three terms", len(v.claims))
	}
	if !slices.IsSortedFunc(v.claims, bySequence) {
		t.Errorf("they led in the order %q, which is not that of their sequences", v.claims)
	}
	for _, p := range g.participants {
		for _, line := range p.saidSince(0) {
			epoch, granted := strings.CutPrefix(line, "leader ")
			if p.kind == ours && granted {
				v.wantGrant(t, p.id, epoch)
			}
		}
	}
}

// wantGrant fails unless the epoch is the creation of a latch node that was checked.
func (v verdict) wantGrant(t *testing.T, id, epoch string) {
	t.Helper()
	for node, zxid := range v.created {
		if fmt.Sprint(zxid) == epoch {
			if v.checks[node] == 0 {
				t.Errorf("%s led in epoch %s, and the server never confirmed that %s is there", id, epoch, node)
			}
			return
		}
	}
	t.Errorf("%s led in epoch %s, in which no latch node was created", id, epoch)
}

func TestReplaySeesEveryBreach(t *testing.T) {
	const a, b = "/l/_c_1-latch-0000000000", "/l/_c_2-latch-0000000001"
	create := func(session int64, path, data string) zookeepertest.Txn {
		return zookeepertest.Txn{Op: zookeepertest.OpCreate, Session: session, Path: path, Data: []byte(data)}
	}
	check := func(session int64, path string, more ...zookeepertest.Txn) zookeepertest.Txn {
		return zookeepertest.Txn{
			Op: zookeepertest.OpMulti, Session: session,
			Ops: append([]zookeepertest.Txn{{Op: zookeepertest.OpCheck, Path: path}}, more...),
		}
	}
	claimOf := func(node string) string { return strings.TrimPrefix(node, "/l/") }
	begin := []zookeepertest.Txn{create(1, a, ""), create(2, b, "")}
	for name, tc := range map[string]struct {
		then  []zookeepertest.Txn
		wrong int
	}{
		"the first acts":                        {[]zookeepertest.Txn{check(1, a), create(1, "/c/x", claimOf(a))}, 0},
		"the second acts":                       {[]zookeepertest.Txn{check(2, b)}, 1},
		"the second claims":                     {[]zookeepertest.Txn{create(2, "/c/x", claimOf(b))}, 1},
		"one claims for the other":              {[]zookeepertest.Txn{check(1, a), check(1, a, create(1, "/c/x", claimOf(b)))}, 1},
		"one writes before it was confirmed":    {[]zookeepertest.Txn{check(1, a, create(1, "/c/x", claimOf(a)))}, 1},
		"the second acts after a deletion":      {[]zookeepertest.Txn{{Op: zookeepertest.OpDelete, Path: a}, check(2, b)}, 0},
		"the second acts after an expiry":       {[]zookeepertest.Txn{{Op: zookeepertest.OpCloseSession, Paths: []string{a}}, check(2, b)}, 0},
		"the first acts after its own deletion": {[]zookeepertest.Txn{{Op: zookeepertest.OpDelete, Path: a}, check(1, a)}, 1},
		"a refused check":                       {[]zookeepertest.Txn{check(2, b, zookeepertest.Txn{Op: zookeepertest.OpError})}, 0},
		"data are set":                          {[]zookeepertest.Txn{{Op: zookeepertest.OpSetData, Path: a}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if v := replay(append(slices.Clone(begin), tc.then...), "/l", "/c"); len(v.wrong) != tc.wrong {
				t.Errorf("the replay finds %q, want %d breaches", v.wrong, tc.wrong)
			}
		})
	}
}
