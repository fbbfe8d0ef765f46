package latch

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// Suffix ends the name of every contender's node before its sequence. It is
// Curator's, so that its LeaderLatch and ours can share a path.
const Suffix = "latch-"

// nameEnd tells contenders from other children. The counter is a signed 32-bit
// number that ZooKeeper prints with "%010d", whose width counts the sign.
var nameEnd = regexp.MustCompile(`latch-(-\d{9,10}|\d{10})$`)

// nameMark finds what a protected create puts before a name.
var nameMark = regexp.MustCompile(`^_c_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-`)

// lastSequence is where contending is refused, a million before the counter
// overflows and orders would turn around.
const lastSequence = 1<<31 - 1_000_000

// Contenders returns the names of the contenders among children, in their order.
// Other children are ignored.
func Contenders(children []string) []string {
	type node struct {
		name string
		seq  int64
	}
	var nodes []node
	for _, name := range children {
		if seq, ok := Sequence(name); ok {
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

// Sequence returns the number at the end of a contender's name, and whether the
// name is a contender's.
func Sequence(name string) (int64, bool) {
	m := nameEnd.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	seq, err := strconv.ParseInt(m[1], 10, 64)
	return seq, err == nil
}

// UUID returns the UUID at the beginning of a name, as Curator and package
// zookeeper put it there to find their own nodes again, and whether there is one.
func UUID(name string) (string, bool) {
	m := nameMark.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// CheckSequence refuses to contend where the order of sequences would soon break.
// Its error names the latch and what to do; path is the latch's, name the node's.
func CheckSequence(path, name string) error {
	seq, ok := Sequence(name)
	if !ok {
		return fmt.Errorf("election: ZooKeeper named a contender %q below %s, which does not end in a sequence of ten digits", name, path)
	}
	if seq < 0 || seq >= lastSequence {
		return fmt.Errorf("election: the sequence %d below %s is near its end at %d; stop all contenders and delete %s, it is made again and counts from 0",
			seq, path, int64(1)<<31-1, path)
	}
	return nil
}
