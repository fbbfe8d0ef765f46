package retrieval

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/coordd/coordd/leader"
)

func TestAccept(t *testing.T) {
	start := time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)
	one, two := info(1, "s1", "http://same"), info(2, "s2", "http://same")
	moved := one
	moved.Address = "http://moved"
	for _, c := range []struct {
		name    string
		before  []Observation
		o       Observation
		refused bool
		want    State
		stamped int // which observation gave ObservedAt, counted from 1; 0: none
	}{
		{"nothing yet", nil, Observation{}, false, State{}, 0},
		{"none at first", nil, none(0), false, State{Status: StatusNone}, 1},
		{"first leader", []Observation{none(3)}, known(one, 5), false, State{Status: StatusKnown, Info: one, Index: 5}, 2},
		{"same leader again", []Observation{known(one, 5)}, known(one, 5), false, State{Status: StatusKnown, Info: one, Index: 5}, 2},
		{"new term at the same address", []Observation{known(one, 5)}, known(two, 8), false, State{Status: StatusKnown, Info: two, Index: 8}, 2},
		{"older term", []Observation{known(two, 8)}, known(one, 5), true, State{Status: StatusKnown, Info: two, Index: 8}, 1},
		{"older term with a larger index", []Observation{known(two, 8)}, known(one, 9), true, State{Status: StatusKnown, Info: two, Index: 8}, 1},
		{"older term after none", []Observation{known(two, 8), none(9)}, known(one, 5), true, State{Status: StatusNone, Index: 9}, 2},
		{"older term while unknown", []Observation{known(two, 8), {}}, known(one, 5), true, State{Info: two, Index: 8}, 1},
		{"same term from a server that is behind", []Observation{known(two, 8), none(9)}, known(two, 8), false, State{Status: StatusKnown, Info: two, Index: 9}, 3},
		{"newer term with a smaller index", []Observation{none(20)}, known(one, 5), false, State{Status: StatusKnown, Info: one, Index: 20}, 2},
		{"same term published another address", []Observation{known(one, 5)}, known(moved, 6), false, State{Status: StatusKnown, Info: moved, Index: 6}, 2},
		{"same term back at its former address", []Observation{known(one, 5), known(moved, 6)}, known(one, 5), false, State{Status: StatusKnown, Info: moved, Index: 6}, 3},
		{"lost sight", []Observation{known(one, 5)}, Observation{}, false, State{Info: one, Index: 5}, 1},
		{"seen again", []Observation{known(one, 5), {}}, known(one, 5), false, State{Status: StatusKnown, Info: one, Index: 5}, 3},
		{"gone while out of sight", []Observation{known(one, 5), {}}, none(7), false, State{Status: StatusNone, Index: 7}, 3},
		{"none from a server that is behind", []Observation{known(one, 5)}, none(4), false, State{Status: StatusNone, Index: 5}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k knowledge
			for i, o := range append(c.before, c.o) {
				var accepted bool
				k, accepted = k.accept(o, start.Add(time.Duration(i+1)))
				if refused := !accepted; refused != (c.refused && i == len(c.before)) {
					t.Errorf("observation %d refused: %v", i+1, refused)
				}
			}
			want := c.want
			if c.stamped > 0 {
				want.ObservedAt = start.Add(time.Duration(c.stamped))
			}
			if k.State != want {
				t.Errorf("state\n got %+v\nwant %+v", k.State, want)
			}
		})
	}
}

// Whatever a driver reports, the epochs and the index of the state never go back,
// and a known state always has what was reported for its term.
func TestAcceptNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k knowledge
		var newest leader.Epoch
		for i := range rapid.IntRange(1, 30).Draw(t, "n") {
			epoch := leader.Epoch(rapid.IntRange(1, 5).Draw(t, "epoch"))
			o := rapid.SampledFrom([]Observation{
				{}, none(int64(rapid.IntRange(0, 20).Draw(t, "index"))),
				known(info(epoch, epoch.String(), "http://x"), int64(epoch)*3),
			}).Draw(t, "observation")
			index := k.Index
			k, _ = k.accept(o, time.Unix(int64(i), 0))
			if k.Index < index {
				t.Fatalf("index went back from %d to %d", index, k.Index)
			}
			if k.Status == StatusKnown && k.Info.Epoch < newest {
				t.Fatalf("announced epoch %d after %d", k.Info.Epoch, newest)
			}
			newest = max(newest, k.Info.Epoch)
			if o.Status == StatusKnown && o.Info.Epoch >= newest && k.Info != o.Info {
				t.Fatalf("state %+v after the newest leader %+v was reported", k.State, o.Info)
			}
		}
	})
}

func TestStatusReadsAsAWord(t *testing.T) {
	for s, want := range map[Status]string{StatusUnknown: "unknown", StatusNone: "none", StatusKnown: "known", 9: "unknown"} {
		if s.String() != want {
			t.Errorf("Status(%d) reads %q, want %q", int(s), s, want)
		}
	}
}
