package zk

import (
	"strings"
	"testing"
)

// What is in ZooKeeper while contenders of different releases share a latch.
func TestTheFormatOfARequestStays(t *testing.T) {
	const golden = `{"version":1,"from":"_c_a-latch-0000000001","to":"_c_b-latch-0000000003","to_id":"b","by":"me"}`
	want := request{Version: 1, From: "_c_a-latch-0000000001", To: "_c_b-latch-0000000003", ToID: "b", By: "me"}
	data, err := want.encode()
	if err != nil || string(data) != golden {
		t.Errorf("encoded %s, error %v, want %s", data, err, golden)
	}
	if got, err := decodeRequest([]byte(golden)); err != nil || got != want {
		t.Errorf("decoded %+v, error %v, want %+v", got, err, want)
	}
}

func TestARequestThatIsNotUnderstoodIsRefused(t *testing.T) {
	for data, want := range map[string]string{
		"":                       "unexpected end",
		"[]":                     "cannot unmarshal",
		`{"from":"a"}`:           "version 0",
		`{"version":2,"to":"b"}`: "version 2",
	} {
		if r, err := decodeRequest([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: request %+v, error %v, want one that says %q", data, r, err, want)
		}
	}
}

func TestARequestAsksOnlyThoseInTheWay(t *testing.T) {
	for _, c := range []struct {
		name, order, from, to string
		want                  map[string]duty
	}{
		{"to the next", "a b c", "a", "b", map[string]duty{"a": resign}},
		{"over others", "a b c d e", "a", "d", map[string]duty{"b": queueAgain, "c": queueAgain}},
		{"to whoever is next", "a b c", "a", "", map[string]duty{"a": resign}},
		{"to whoever is next, where nobody is", "a", "a", "", map[string]duty{"a": resign}},
		{"of a leader that has gone", "b c d", "a", "d", nil},
		{"of one that does not lead", "a b c d", "b", "d", nil},
		{"to one that has gone", "a b c", "a", "d", nil},
		{"to the leader", "a b c", "a", "a", nil},
		{"at an empty latch", "", "a", "b", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			order := strings.Fields(c.order)
			for _, node := range append(order, "x") { // x has been deleted
				if got := (request{From: c.from, To: c.to}).duty(order, node); got != c.want[node] {
					t.Errorf("%s has duty %d, want %d", node, got, c.want[node])
				}
			}
		})
	}
}
