package embedded

import (
	"slices"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// Committed is one transaction that took effect.
type Committed struct {
	// Epoch is that of the term which committed it.
	Epoch leader.Epoch
	// Ops are what was done. They must not be changed.
	Ops []txn.Op
}

// Commits returns the transactions that took effect, in their true order and from
// the given one on, whoever was told of them: what tests hold against what others
// saw. There are none unless Config.KeepCommits is set.
func (b *Backend) Commits(from int) []Committed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.commits[min(from, len(b.commits)):])
}

// keepCommit notes a transaction that has taken effect. It requires mu.
func (b *Backend) keepCommit(c *candidacy, ops []txn.Op) {
	if b.cfg.KeepCommits {
		b.commits = append(b.commits, Committed{Epoch: c.epoch, Ops: slices.Clone(ops)})
	}
}
