package jobmaster

import (
	"container/heap"
	"slices"
	"time"
)

// queued is a subtask in a queue. It does not count once its ticket is another: so a
// subtask leaves without being looked for.
type queued struct {
	*subtask
	ticket int
	at     time.Time // when it is due, in delayed
}

func (q queued) counts() bool { return q.ticket == q.subtask.ticket }

// queue holds the subtasks that wait for a slot, first in, first out.
type queue struct {
	items []queued
	head  int
	// count is how many entries count.
	count int
}

func (q *queue) push(s *subtask) {
	if q.head > len(q.items)/2 {
		q.items = slices.Delete(q.items, 0, q.head)
		q.head = 0
	}
	q.items = append(q.items, q.admit(s))
}

// pushFront lets a subtask go before all others.
func (q *queue) pushFront(s *subtask) {
	if q.head == 0 {
		q.items = slices.Insert(q.items, 0, q.admit(s))
		return
	}
	q.head--
	q.items[q.head] = q.admit(s)
}

func (q *queue) admit(s *subtask) queued {
	s.place = placeReady
	s.ticket++
	q.count++
	return queued{subtask: s, ticket: s.ticket}
}

// pop returns the next subtask, nil when there is none.
func (q *queue) pop() *subtask {
	for q.head < len(q.items) {
		next := q.items[q.head]
		q.items[q.head] = queued{}
		if q.head++; q.head == len(q.items) {
			q.items, q.head = q.items[:0], 0
		}
		if next.subtask != nil && next.counts() {
			q.withdraw(next.subtask)
			return next.subtask
		}
	}
	return nil
}

// withdraw takes out a subtask that is in the queue.
func (q *queue) withdraw(s *subtask) {
	s.place = placeNone
	s.ticket++
	q.count--
}

// delayed holds the subtasks that wait for their next try, by time.
type delayed []queued

// Len implements heap.Interface.
func (d delayed) Len() int { return len(d) }

// Less implements heap.Interface.
func (d delayed) Less(i, j int) bool { return d[i].at.Before(d[j].at) }

// Swap implements heap.Interface.
func (d delayed) Swap(i, j int) { d[i], d[j] = d[j], d[i] }

// Push implements heap.Interface.
func (d *delayed) Push(x any) { *d = append(*d, x.(queued)) } //nolint:forcetypeassert // only add calls it

// Pop implements heap.Interface.
func (d *delayed) Pop() any {
	last := len(*d) - 1
	s := (*d)[last]
	(*d)[last] = queued{}
	*d = (*d)[:last]
	return s
}

func (d *delayed) add(s *subtask, at time.Time) {
	s.place = placeDelayed
	s.ticket++
	heap.Push(d, queued{subtask: s, ticket: s.ticket, at: at})
}

// due removes and returns the next subtask whose time has come, nil when there is
// none.
func (d *delayed) due(now time.Time) *subtask {
	for len(*d) > 0 {
		next := (*d)[0]
		if next.counts() && next.at.After(now) {
			return nil
		}
		heap.Pop(d)
		if next.counts() {
			next.place = placeNone
			return next.subtask
		}
	}
	return nil
}

// withdraw takes out a subtask that waits.
func (d *delayed) withdraw(s *subtask) {
	s.place = placeNone
	s.ticket++
}
