package zookeepertest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestTxnsShowTheTrueOrderOfWrites(t *testing.T) {
	s := StartServer(t)
	conn := connect(t, 10*time.Second, s.Addr())
	acl := zk.WorldACL(zk.PermAll)
	create(t, conn, "/a", "one; two\n", 0)
	seq := create(t, conn, "/a/s-", "", zk.FlagEphemeral|zk.FlagSequence)
	_, _ = conn.Create("/a", nil, 0, acl)
	s.Restart() // another file, and a session that goes on
	await(t, "the accepted multi", func() bool {
		_, err := conn.Multi(&zk.CheckVersionRequest{Path: "/a", Version: -1},
			&zk.CreateRequest{Path: "/m", Data: []byte("x"), Acl: acl},
			&zk.SetDataRequest{Path: "/a", Data: []byte("y"), Version: -1},
			&zk.DeleteRequest{Path: "/m", Version: -1})
		return err == nil
	})
	_, err := conn.Multi(&zk.CheckVersionRequest{Path: "/no", Version: -1}, &zk.DeleteRequest{Path: "/a", Version: -1})
	if err == nil {
		t.Fatal("a multi with a failing check was accepted")
	}
	session := conn.SessionID()
	conn.Close()

	var got []string
	for _, txn := range s.Txns(t) {
		if txn.Session != session {
			t.Errorf("%v is not of session 0x%x", txn, session)
		}
		got = append(got, txn.what())
	}
	want := []string{
		"createSession", `create /a "one; two\n"`, fmt.Sprintf(`create %s ""`, seq), "error -110",
		`multi [check /a; create /m "x"; setData /a "y"; delete /m]`, "multi [error -101; error -2]",
		fmt.Sprintf("closeSession [%q]", seq),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("log:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var writes []string
	for _, txn := range s.Txns(t) {
		for _, w := range txn.Writes() {
			writes = append(writes, string(w.Op))
		}
	}
	if w := strings.Join(writes, " "); w != "create create create setData delete" {
		t.Errorf("accepted writes %s", w)
	}
	compareWithToolkit(t, s)
}

// compareWithToolkit checks numbers and order against ZooKeeper's own decoder.
func compareWithToolkit(t *testing.T, s *Server) {
	t.Helper()
	logs, _ := filepath.Glob(filepath.Join(s.dataDir(), "version-2", "log.*"))
	theirs := make(map[string]bool)
	for _, log := range logs {
		out, err := exec.Command("java", "-cp", zookeeperJar+":"+loggerJar,
			"org.apache.zookeeper.server.persistence.TxnLogToolkit", "-d", log).Output()
		if err != nil {
			t.Fatalf("TxnLogToolkit %s: %v", log, err)
		}
		for line := range strings.Lines(string(out)) {
			if _, rest, ok := strings.Cut(line, " session "); ok {
				f := strings.Fields(rest) // 0x... cxid 0x... zxid 0x... type
				theirs[f[0]+" "+f[4]+" "+f[5]] = true
			}
		}
	}
	txns := s.Txns(t)
	if len(txns) != len(theirs) {
		t.Errorf("%d transactions, ZooKeeper's own decoder sees %d", len(txns), len(theirs))
	}
	for _, txn := range txns {
		key := fmt.Sprintf("0x%x 0x%x %s", txn.Session, txn.Zxid, txn.Op)
		if !theirs[key] {
			t.Errorf("ZooKeeper's own decoder does not see %s", key)
		}
	}
}
