package zookeepertest

import (
	"testing"
	"time"
)

// What every user of leadership on ZooKeeper has to reckon with.
func TestEnsembleMemberThatWasCutOffGoesOnAnsweringWhileTheOthersGoOn(t *testing.T) {
	e := StartEnsemble(t, 3, Partitions(), SyncLimit(600)) // it gives up after a minute
	follower, leader := e.Followers()[0], e.Leader()
	behind, ahead := connect(t, 10*time.Second, follower.Addr()), connect(t, 10*time.Second, leader.Addr())
	create(t, behind, "/a", "1", 0)
	if _, err := ahead.Sync("/a"); err != nil {
		t.Fatal(err)
	}

	e.CutOff(follower)
	if _, err := ahead.Set("/a", []byte("2"), -1); err != nil {
		t.Fatalf("write without the server that was cut off: %v", err)
	}
	create(t, ahead, "/b", "", 0)
	if data, _, err := behind.Get("/a"); err != nil || string(data) != "1" {
		t.Errorf("the server that was cut off has %q in /a (error %v), want the old 1", data, err)
	}
	if found, _, err := behind.Exists("/b"); err != nil || found {
		t.Errorf("the server that was cut off has /b: %t (error %v)", found, err)
	}

	e.Heal()
	await(t, "the server to catch up", func() bool {
		found, _, err := behind.Exists("/b")
		return err == nil && found
	})
	if data, _, err := behind.Get("/a"); err != nil || string(data) != "2" {
		t.Errorf("after the cut, /a is %q (error %v), want 2", data, err)
	}
	e.WaitHealthy()
}
