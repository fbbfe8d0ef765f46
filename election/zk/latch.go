package zk

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// latchSuffix ends the name of every contender's node before its sequence. It is
// Curator's, so that its LeaderLatch and ours can share a path.
const latchSuffix = "latch-"

// latchName tells contenders from other children. The counter is a signed
// 32-bit number that ZooKeeper prints with "%010d", whose width counts the sign.
var latchName = regexp.MustCompile(`latch-(-\d{9,10}|\d{10})$`)

// lastSequence is where contending is refused, a million before the counter
// overflows and orders would turn around.
const lastSequence = 1<<31 - 1_000_000

// contenders returns the names of the contenders among children, in their order.
// Other children are ignored.
func contenders(children []string) []string {
	type node struct {
		name string
		seq  int64
	}
	var nodes []node
	for _, name := range children {
		if seq, ok := sequence(name); ok {
			nodes = append(nodes, node{name, seq})
		}
	}
	slices.SortFunc(nodes, func(a, b node) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.name, b.name))
	})
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.name
	}
	return names
}

// sequence returns the number at the end of a contender's name.
func sequence(name string) (int64, bool) {
	m := latchName.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	seq, err := strconv.ParseInt(m[1], 10, 64)
	return seq, err == nil
}

// checkSequence refuses to contend where the order of sequences would soon break.
func checkSequence(latch, name string) error {
	seq, ok := sequence(name)
	if !ok {
		return fmt.Errorf("election: ZooKeeper named a contender %q below %s, which does not end in a sequence of ten digits", name, latch)
	}
	if seq < 0 || seq >= lastSequence {
		return fmt.Errorf("election: the sequence %d below %s is near its end at %d; stop all contenders and delete %s, it is made again and counts from 0",
			seq, latch, int64(1)<<31-1, latch)
	}
	return nil
}
