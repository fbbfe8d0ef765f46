package rig

import (
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"
)

// Guarded makes guarded writes with a bare session: each is one transaction that checks
// a node, as a leader checks its own, and sets another.
type Guarded struct {
	bare        *Bare
	guard, node string
	data        []byte
}

// Guarded returns what writes values of that size below root, which it creates.
func (b *Bare) Guarded(root string, size int) (*Guarded, error) {
	g := &Guarded{bare: b, guard: root + "/guard", node: root + "/node", data: make([]byte, size)}
	for _, path := range []string{root, g.guard, g.node} {
		if err := b.Ensure(path); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Write makes one write.
func (g *Guarded) Write() error {
	_, err := g.bare.Conn.Multi(
		&zk.CheckVersionRequest{Path: g.guard, Version: -1},
		&zk.SetDataRequest{Path: g.node, Data: g.data, Version: -1},
	)
	if err != nil {
		return fmt.Errorf("set %s: %w", g.node, err)
	}
	return nil
}

// OneByOne makes n writes, one after the other, and returns how long each took.
func (g *Guarded) OneByOne(n int) (Times, error) {
	times := make(Times, n)
	for i := range times {
		start := time.Now()
		if err := g.Write(); err != nil {
			return nil, err
		}
		times[i] = time.Since(start)
	}
	return times, nil
}
