package embedded

import (
	"slices"
	"sync"

	"github.com/coordd/coordd/leader"
)

// fixedEpoch is the epoch of a leader that was configured, not elected. Every
// term that is granted has a larger one.
const fixedEpoch leader.Epoch = 1

// Backend is the shared space of a cluster in one process: sessions, the latch,
// the published leaders, and the stored data. The data lasts as long as the
// Backend does, whoever comes and goes, or as the file of Config.File. Its methods may be called from any
// goroutine. Make one with New.
type Backend struct {
	cfg    Config
	fixed  map[string]leader.Info
	faults faults
	disk   disk

	// mu guards all below, and the state of participants, sessions, candidacies
	// and tenures. Nothing blocks and no foreign code runs while it is held.
	mu sync.Mutex
	// index counts the changes, as a ZooKeeper transaction id does: it gives the
	// epochs and the indexes of observations.
	index int64
	// changed is closed, and replaced, at every change that somebody may wait for.
	changed  chan struct{}
	sessions int64
	// tree is the stored data. Who changes it holds the disk, too.
	tree *tree
	// writing: a transaction is on its way to the disk. Nobody is granted leadership
	// then: what a term wrote is seen by all later ones.
	writing bool
	// commits is what took effect, if it is kept.
	commits []Committed
	// latch holds the candidacies in the order in which they came. The first one
	// leads.
	latch []*candidacy
	// request is the transfer that is being made, nil for none.
	request *request
	// published holds the leaders by component; publishedAt is the index of the
	// newest change to it.
	published   map[string]publication
	publishedAt int64
	// sole is the participant of a standalone backend, nil before its first Run.
	sole *Participant
}

// publication is one published leader, which goes with the candidacy's session.
type publication struct {
	info  leader.Info
	by    *candidacy
	index int64
}

// New returns an empty backend. It starts nothing and touches no file: the first
// Participant.Run opens it. Its error names the field of
// the configuration that cannot be used.
func New(cfg Config) (*Backend, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	fixed, err := cfg.fixedLeaders()
	if err != nil {
		return nil, err
	}
	return &Backend{
		cfg: cfg, fixed: fixed, disk: newDisk(),
		index: int64(fixedEpoch), publishedAt: int64(fixedEpoch),
		changed: make(chan struct{}), tree: newTree(), published: make(map[string]publication),
	}, nil
}

// Participant returns a new participant, which stands for one process: after
// Kill, the restarted process is another participant of the same id. The id is
// for people.
func (b *Backend) Participant(id string) *Participant {
	return &Participant{
		backend: b, id: id, connected: true, dead: make(chan struct{}),
		log: b.cfg.Logger.With("participant", id),
	}
}

// Candidates returns the ids of the candidates in the latch, the leader first,
// and a channel that is closed when anything changes.
func (b *Backend) Candidates() (ids []string, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.latch {
		ids = append(ids, c.id)
	}
	return ids, b.changed
}

// Published returns the leader that is published for the component, and whether
// there is one. Fixed leaders are not published.
func (b *Backend) Published(component string) (leader.Info, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.published[component]
	return p.info, ok
}

// broadcast wakes all who wait for a change. It requires mu.
func (b *Backend) broadcast() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// next counts a change. It requires mu.
func (b *Backend) next() int64 {
	b.index++
	return b.index
}

// leads reports whether the candidacy leads: the check that guards all reads and
// writes. It requires mu.
func (b *Backend) leads(c *candidacy) bool {
	return len(b.latch) > 0 && b.latch[0] == c
}

// drop takes a candidacy out of the latch and reports whether it was there. It
// requires mu.
func (b *Backend) drop(c *candidacy) bool {
	at := slices.Index(b.latch, c)
	if at < 0 {
		return false
	}
	b.latch = slices.Delete(b.latch, at, at+1)
	b.broadcast()
	return true
}

// unpublish removes what was published by the candidacy, as one change. It
// requires mu.
func (b *Backend) unpublish(c *candidacy) {
	var index int64
	for component, p := range b.published {
		if p.by != c {
			continue
		}
		if index == 0 {
			index = b.next()
		}
		delete(b.published, component)
		b.publishedAt = index
	}
}
