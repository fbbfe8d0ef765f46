package zookeepertest

import (
	"strings"
	"testing"
	"time"
)

func TestEnsembleElectsAnotherLeaderAndTakesTheFormerBack(t *testing.T) {
	e := StartEnsemble(t, 3)
	if n := len(strings.Split(e.Connect(), ",")); n != 3 {
		t.Errorf("connect string %q names %d servers", e.Connect(), n)
	}
	conn := connect(t, 10*time.Second, e.Addrs()...)
	create(t, conn, "/a", "1", 0)

	first := e.Leader()
	first.Kill()
	second := e.Leader()
	if second == first {
		t.Fatal("the killed server still leads")
	}
	await(t, "data after the election", func() bool {
		_, _, err := conn.Get("/a")
		return err == nil
	})
	first.Restart()
	if n := len(e.Followers()); n != 2 {
		t.Errorf("%d followers after the restart, want 2", n)
	}

	second.Pause()
	if third := e.Leader(); third == second {
		t.Error("the paused server still leads")
	}
	second.Resume()
	e.WaitHealthy()
	if n := len(e.Followers()); n != 2 {
		t.Errorf("%d followers after the pause, want 2", n)
	}
}
