package resourcemanager

import (
	"cmp"
	"slices"
	"time"
)

// wants is the sum of what the job can use.
func (j *poolJob) wants() int {
	n := 0
	for _, d := range j.demands {
		n += d.count
	}
	return n
}

// used is how many of a job's slots count for its needs.
func (j *poolJob) used() int {
	n := 0
	for _, d := range j.demands {
		n += d.assigned
	}
	return n
}

// rematch counts the job's slots as what they are good for: as many as possible are
// assigned to demands whose labels they have, none to more than one. Without this a job
// would ask for a slot with labels although one that it has, and uses for something
// else, has them.
func (j *poolJob) rematch(now time.Time) {
	m := newMatching(j)
	m.fill()
	for i, d := range m.demands {
		had := !d.dry
		d.assigned, d.dry = m.got[i], !j.holdsFor(d)
		switch {
		case d.lacks() == 0:
			d.since = time.Time{}
		case d.since.IsZero(), d.dry && had:
			d.since = now
		}
	}
}

// gains reports whether a slot more of the kind would count for the job's needs, be it
// that others are counted for something else then.
func (j *poolJob) gains(k *kind) bool {
	j.kinds[k]++
	defer func() {
		if j.kinds[k]--; j.kinds[k] == 0 {
			delete(j.kinds, k)
		}
	}()
	m := newMatching(j)
	m.fill()
	n := 0
	for _, got := range m.got {
		n += got
	}
	return n > j.used()
}

// holdsFor reports whether the job has a slot that it may use for the demand, whatever it
// is assigned to.
func (j *poolJob) holdsFor(d *demand) bool {
	for k := range j.kinds {
		if k.has(d.requires) {
			return true
		}
	}
	return false
}

// matching is a maximum flow from a job's slots, by kind, to its demands.
type matching struct {
	demands []*demand
	kinds   []*kind
	// got is how many slots each demand is assigned.
	got []int
	// left is how many slots of a kind are not assigned.
	left []int
	// fits says which kinds are good for a demand; flow is how many are assigned to it.
	fits [][]bool
	flow [][]int
}

func newMatching(j *poolJob) *matching {
	m := &matching{demands: slices.Clone(j.demands), got: make([]int, len(j.demands))}
	for k := range j.kinds {
		m.kinds = append(m.kinds, k)
	}
	slices.SortFunc(m.kinds, func(a, b *kind) int { return cmp.Compare(a.key, b.key) })
	for _, k := range m.kinds {
		m.left = append(m.left, j.kinds[k])
	}
	// The most particular ones first, so that little needs to be changed again.
	slices.SortStableFunc(m.demands, func(a, b *demand) int { return cmp.Compare(len(b.requires), len(a.requires)) })
	for _, d := range m.demands {
		fits := make([]bool, len(m.kinds))
		for i, k := range m.kinds {
			fits[i] = k.has(d.requires)
		}
		m.fits = append(m.fits, fits)
		m.flow = append(m.flow, make([]int, len(m.kinds)))
	}
	return m
}

// lacks is how many slots a demand is not assigned.
func (m *matching) lacks(i int) int { return max(m.demands[i].count-m.got[i], 0) }

// fill assigns as many slots as can be.
func (m *matching) fill() {
	for i := range m.demands {
		for k := range m.kinds {
			if m.fits[i][k] {
				n := min(m.lacks(i), m.left[k])
				m.got[i] += n
				m.flow[i][k] += n
				m.left[k] -= n
			}
		}
	}
	for i := range m.demands {
		for m.lacks(i) > 0 && m.some() && m.augment(i, make([]bool, len(m.demands))) {
			m.got[i]++
		}
	}
}

// some reports whether there are slots that are not assigned.
func (m *matching) some() bool { return slices.ContainsFunc(m.left, func(n int) bool { return n > 0 }) }

// augment finds one slot more for a demand, if need be by giving another demand a
// different one. It counts the slot in flow, not in got, which changes for the first
// demand of the chain only.
func (m *matching) augment(i int, seen []bool) bool {
	seen[i] = true
	for k := range m.kinds {
		if m.fits[i][k] && m.left[k] > 0 {
			m.left[k]--
			m.flow[i][k]++
			return true
		}
	}
	for k := range m.kinds {
		if !m.fits[i][k] {
			continue
		}
		for other := range m.demands {
			if !seen[other] && m.flow[other][k] > 0 && m.augment(other, seen) {
				m.flow[other][k]--
				m.flow[i][k]++
				return true
			}
		}
	}
	return false
}
