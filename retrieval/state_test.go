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
		{"leader that had gone, from a server that is behind", []Observation{known(two, 8), none(9)}, known(two, 8), true, State{Status: StatusNone, Index: 9}, 2},
		{"leader that published again after it had gone", []Observation{known(two, 8), none(9)}, known(two, 10), false, State{Status: StatusKnown, Info: two, Index: 10}, 3},
		{"newer term with a smaller index", []Observation{none(20)}, known(one, 5), false, State{Status: StatusKnown, Info: one, Index: 20}, 2},
		{"newer term of a rebuilt backend, seen again", []Observation{none(20), known(one, 5), {}, reached}, known(one, 5), false, State{Status: StatusKnown, Info: one, Index: 20}, 5},
		{"newer term of a rebuilt backend, gone and from a server that is behind", []Observation{none(20), known(one, 5), none(9)}, known(one, 5), true, State{Status: StatusNone, Index: 20}, 3},
		{"same term published another address", []Observation{known(one, 5)}, known(moved, 6), false, State{Status: StatusKnown, Info: moved, Index: 6}, 2},
		{"same term back at its former address", []Observation{known(one, 5), known(moved, 6)}, known(one, 5), false, State{Status: StatusKnown, Info: moved, Index: 6}, 3},
		{"lost sight", []Observation{known(one, 5)}, Observation{}, false, State{Info: one, Index: 5}, 1},
		{"seen again", []Observation{known(one, 5), {}}, known(one, 5), false, State{Status: StatusKnown, Info: one, Index: 5}, 3},
		{"gone while out of sight", []Observation{known(one, 5), {}}, none(7), false, State{Status: StatusNone, Index: 7}, 3},
		{"none from a server that is behind", []Observation{known(one, 5)}, none(4), true, State{Status: StatusKnown, Info: one, Index: 5}, 1},
		{"none at no index", []Observation{known(one, 5)}, none(0), false, State{Status: StatusNone, Index: 5}, 2},
		{"reached", nil, reached, false, State{Status: StatusUnconfirmed}, 0},
		{"reached again", []Observation{known(one, 5), {}}, reached, false, State{Status: StatusUnconfirmed, Info: one, Index: 5}, 1},
		{"lost again before an answer", []Observation{known(one, 5), {}, reached}, Observation{}, false, State{Info: one, Index: 5}, 1},
		{"confirmed", []Observation{known(one, 5), {}, reached}, known(one, 5), false, State{Status: StatusKnown, Info: one, Index: 5}, 4},
		{"not confirmed by an older term", []Observation{known(two, 8), {}, reached}, known(one, 5), true, State{Status: StatusUnconfirmed, Info: two, Index: 8}, 1},
		{"not confirmed by a server that has no leader yet", []Observation{known(two, 8), {}, reached}, none(7), true, State{Status: StatusUnconfirmed, Info: two, Index: 8}, 1},
		{"cannot be read", []Observation{known(one, 5)}, reached, false, State{Status: StatusUnconfirmed, Info: one, Index: 5}, 1},
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

// Whatever a driver reports, the epochs and the index of the state never go back, a
// known state always has what was reported for its term, and a term that had gone
// never comes back.
func TestAcceptNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k knowledge
		var newest, buried leader.Epoch
		for i := range rapid.IntRange(1, 30).Draw(t, "n") {
			epoch := leader.Epoch(rapid.IntRange(1, 5).Draw(t, "epoch"))
			o := rapid.SampledFrom([]Observation{
				{}, reached, none(int64(rapid.IntRange(0, 20).Draw(t, "index"))),
				known(info(epoch, epoch.String(), "http://x"), int64(epoch)*3),
			}).Draw(t, "observation")
			before := k
			index := k.Index
			k, _ = k.accept(o, time.Unix(int64(i), 0))
			if k.Status == StatusNone && before.confirmed == StatusKnown && o.Index > before.at {
				buried = before.Info.Epoch
			}
			if k.Status == StatusKnown && k.Info.Epoch == buried {
				t.Fatalf("announced epoch %d again after it had gone at %d", buried, k.gone)
			}
			if k.Status <= StatusUnconfirmed && k.Info != before.Info {
				t.Fatalf("without an answer the info became %+v, want %+v kept", k.Info, before.Info)
			}
			if k.Index < index {
				t.Fatalf("index went back from %d to %d", index, k.Index)
			}
			if k.Status == StatusKnown && k.Info.Epoch < newest {
				t.Fatalf("announced epoch %d after %d", k.Info.Epoch, newest)
			}
			newest = max(newest, k.Info.Epoch)
			if o.Status == StatusKnown && o.Info.Epoch >= newest && o.Info.Epoch != buried && o.Index >= k.gone && k.Info != o.Info {
				t.Fatalf("state %+v after the newest leader %+v was reported", k.State, o.Info)
			}
		}
	})
}

func TestStatusReadsAsAWord(t *testing.T) {
	for s, want := range map[Status]string{StatusUnknown: "unknown", StatusUnconfirmed: "unconfirmed", StatusNone: "none", StatusKnown: "known", 9: "unknown"} {
		if s.String() != want {
			t.Errorf("Status(%d) reads %q, want %q", int(s), s, want)
		}
	}
}
