package zk

import (
	"slices"
	"testing"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func TestContendersAreReadInTheirOrder(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	s, err := zookeeper.Open(t.Context(), zookeeper.Config{Servers: []string{srv.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	if _, exists, err := First(t.Context(), s, "/latch"); exists || err != nil {
		t.Errorf("a latch that does not exist: exists %v, error %v", exists, err)
	}
	if all, err := Contenders(t.Context(), s, "/latch"); len(all) > 0 || err != nil {
		t.Errorf("a latch that does not exist has the contenders %+v, error %v", all, err)
	}

	type made struct {
		node  string
		epoch leader.Epoch
	}
	var want []made
	for _, id := range []string{"a", "b", "c"} {
		node, stat, err := s.CreateProtected(t.Context(), "/latch", latchSuffix, []byte(id))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, made{node, leader.Epoch(stat.Czxid)})
	}
	if err := s.Create(t.Context(), "/latch/!foreign", nil, zookeeper.Persistent); err != nil {
		t.Fatal(err)
	}
	all, err := Contenders(t.Context(), s, "/latch")
	if err != nil || len(all) != len(want) {
		t.Fatalf("contenders %+v, error %v, want %d", all, err, len(want))
	}
	for i, c := range all {
		if c.ID != string("abc"[i]) || c.Node != want[i].node || c.Epoch != want[i].epoch || c.Session != s.ID() || c.Since.IsZero() {
			t.Errorf("contender %d is %+v, want %+v of session %d", i, c, want[i], s.ID())
		}
	}
	if !slices.IsSortedFunc(all, func(a, b Contender) int { return int(a.Epoch - b.Epoch) }) {
		t.Errorf("the epochs of %+v do not grow", all)
	}

	if err := s.Delete(t.Context(), want[0].node, -1); err != nil {
		t.Fatal(err)
	}
	if first, exists, err := First(t.Context(), s, "/latch"); !exists || err != nil || first.ID != "b" {
		t.Errorf("after the first left, the first is %+v (exists %v, error %v), want b", first, exists, err)
	}
}
