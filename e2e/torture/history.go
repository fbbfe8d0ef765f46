package main

import (
	"fmt"
	"slices"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// The upper half of a zxid counts the ensemble's leaders, the lower half the writes
// of one.
const zxidCounter = 1<<32 - 1

// merge returns what the logs of an ensemble's members hold of committed
// transactions, in order: what stands in a majority of them. The members must have
// caught up with their leader. Its error says that the logs have a hole, which makes
// them no witness.
func merge(logs [][]zookeepertest.Txn) ([]zookeepertest.Txn, error) {
	counts := make(map[int64]int)
	txns := make(map[int64]zookeepertest.Txn)
	for _, log := range logs {
		for _, txn := range log {
			counts[txn.Zxid]++
			txns[txn.Zxid] = txn
		}
	}
	var order []int64
	for zxid, n := range counts {
		if n > len(logs)/2 {
			order = append(order, zxid)
		}
	}
	slices.Sort(order)
	history := make([]zookeepertest.Txn, len(order))
	for i, zxid := range order {
		history[i] = txns[zxid]
		if n := zxid & zxidCounter; n > 1 && (i == 0 || order[i-1] != zxid-1) {
			return nil, fmt.Errorf("the logs of %d servers have a hole before zxid %#x", len(logs), zxid)
		}
	}
	return history, nil
}
