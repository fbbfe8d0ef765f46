package jobmaster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
)

// declarations returns how often needs were declared.
func (r *rig) declarations() int {
	synctest.Wait()
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	return len(r.cluster.declared)
}

func TestNeedsThatExceedTheSlotsAreNotDeclaredWithEachSubtask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 100)), slots(1))
		synctest.Wait()
		for n := range 50 { // one each 100 ms
			r.finish("a", n, 1)
			pass(needsPause)
		}
		if got, want := r.declarations(), 1+50*int(needsPause)/int(needsRest)+1; got > want {
			t.Errorf("needs were declared %d times in %v, want %d at most", got, 50*needsPause, want)
		}
		for n := 50; n < 99; n++ {
			r.finish("a", n, 1)
		}
		pass(needsPause)
		if got := r.lastNeed(); got != 1 {
			t.Errorf("the last need is %d while one subtask is left, which has a slot; want 1", got)
		}
	})
}

// lastNeed is what was declared last.
func (r *rig) lastNeed() int {
	synctest.Wait()
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	return r.cluster.declared[len(r.cluster.declared)-1]
}

func TestSlotsThatAreTooManyCorrectTheNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 4)), slots(1))
		pass(time.Second)
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		before := r.declarations()
		r.cluster.mu.Lock()
		r.worker.capacity = 3
		names := []gateway.Slot{r.worker.allocate(), r.worker.allocate()}
		r.cluster.mu.Unlock()
		r.worker.offer(names) // one is too many
		pass(needsPause)
		if got := r.declarations(); got != before+1 || r.lastNeed() != 2 {
			t.Errorf("needs were declared %d times more, the last %d; want once, 2", got-before, r.lastNeed())
		}
	})
}

func TestWorkerThatIsToldThingsNeedsNoHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 100)), slots(1))
		for n := range 60 { // one each second
			pass(time.Second)
			r.finish("a", n, 1)
		}
		r.cluster.mu.Lock()
		defer r.cluster.mu.Unlock()
		if r.worker.beats != 0 {
			t.Errorf("%d heartbeats were sent in a minute to a worker that was told something each second", r.worker.beats)
		}
	})
}
