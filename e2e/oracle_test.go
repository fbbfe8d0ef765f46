package e2e

import (
	"strings"
	"testing"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// checkOneWriter reads the server's transaction log and checks I1: no guarded write
// of a term was accepted after a write of a later term. A term is named by the latch
// node that its writes check, and ordered by that node's creation.
func checkOneWriter(t *testing.T, srv *zookeepertest.Server) {
	t.Helper()
	const latch = "/coordd/test/latch/"
	began := make(map[string]int64) // term by latch node
	var newest int64
	guarded := 0
	for _, txn := range srv.Txns(t) {
		if txn.Op == zookeepertest.OpCreate && strings.HasPrefix(txn.Path, latch) {
			began[txn.Path] = txn.Zxid
		}
		if txn.Op != zookeepertest.OpMulti || txn.Failed() || len(txn.Writes()) == 0 {
			continue
		}
		guard := txn.Ops[0]
		if guard.Op != zookeepertest.OpCheck || began[guard.Path] == 0 {
			t.Errorf("zxid %#x writes without a guard: %+v", txn.Zxid, txn)
			continue
		}
		guarded++
		if term := began[guard.Path]; term < newest {
			t.Errorf("zxid %#x: a write of term %#x was accepted after one of term %#x", txn.Zxid, term, newest)
		} else {
			newest = term
		}
	}
	if guarded == 0 || len(began) < 2 {
		t.Errorf("the log shows %d guarded writes by %d contenders, too few to say anything", guarded, len(began))
	}
}
