package resourcemanager

import (
	"context"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
)

// request asks a worker for slots. Its answer counts only while the worker is the same.
func (m *Manager) request(st *state, r request) {
	l := st.workers[r.worker].link
	l.begin(func(ctx context.Context) {
		select {
		case l.requests <- struct{}{}:
			defer func() { <-l.requests }()
		case <-ctx.Done():
			return
		}
		call, cancel := context.WithTimeout(ctx, m.cfg.HeartbeatTimeout)
		defer cancel()
		slots, err := l.executor.RequestSlots(call, gateway.SlotRequest{Term: m.term.ID, Job: r.job, Count: r.n})
		if len(slots) < r.n {
			m.log.Debug("worker gave fewer slots than it was asked for", "worker", r.worker, "job", r.job,
				"asked", r.n, "got", len(slots), "error", err)
		}
		m.tell(func(st *state) {
			if st.linked(r.worker, l) {
				st.pool.answered(r.worker, r.job, r.n, slots, time.Now())
			}
		})
	})
}

// askBack asks a job's master to give slots back.
func (m *Manager) askBack(st *state, a giveBack) {
	of := st.masters[a.job]
	of.begin(func(ctx context.Context) {
		call, cancel := context.WithTimeout(ctx, m.cfg.HeartbeatTimeout)
		defer cancel()
		err := of.gateway.GiveBack(call, a.need)
		if err == nil || ctx.Err() != nil {
			return
		}
		m.log.Debug("job master could not be asked for slots", "job", a.job, "error", err)
		m.tell(func(st *state) {
			if st.masters[a.job] == of {
				st.pool.notAsked(a, time.Now())
			}
		})
	})
}
