package zk

import "github.com/coordd/coordd/internal/latch"

// latchSuffix ends the name of every contender's node before its sequence.
const latchSuffix = latch.Suffix

// contenders returns the names of the contenders among children, in their order.
func contenders(children []string) []string { return latch.Contenders(children) }

// checkSequence refuses to contend where the order of sequences would soon break.
func checkSequence(path, name string) error { return latch.CheckSequence(path, name) }
