package jobmaster

import (
	"slices"
	"sync/atomic"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// stats counts what happened. The owner of the core adds, anybody reads.
type stats struct {
	deployments, adopted, lost atomic.Int64
	finished, failed, canceled atomic.Int64
	writes, writeFailures      atomic.Int64
	workers, slots             atomic.Int64
}

func (s *stats) ended(o gateway.Outcome) {
	switch o {
	case gateway.OutcomeFinished:
		s.finished.Add(1)
	case gateway.OutcomeFailed:
		s.failed.Add(1)
	case gateway.OutcomeCanceled:
		s.canceled.Add(1)
	}
}

// metrics returns the counts in Prometheus's form.
func (s *stats) metrics(subtasks map[job.SubtaskStatus]int) []gateway.Metric {
	metrics := make([]gateway.Metric, 0, len(subtasks)+10)
	for status, n := range subtasks {
		metrics = append(metrics, gateway.Metric{
			Name: "coordd_job_subtasks", Labels: map[string]string{"status": string(status)}, Value: float64(n),
		})
	}
	slices.SortFunc(metrics, func(a, b gateway.Metric) int {
		if a.Labels["status"] < b.Labels["status"] {
			return -1
		}
		return 1
	})
	for _, o := range [...]struct {
		outcome gateway.Outcome
		n       *atomic.Int64
	}{{gateway.OutcomeFinished, &s.finished}, {gateway.OutcomeFailed, &s.failed}, {gateway.OutcomeCanceled, &s.canceled}} {
		metrics = append(metrics, gateway.Metric{
			Name: "coordd_job_attempts_ended_total", Labels: map[string]string{"outcome": string(o.outcome)}, Value: float64(o.n.Load()),
		})
	}
	for _, m := range [...]struct {
		name string
		n    *atomic.Int64
	}{
		{"coordd_job_workers", &s.workers},
		{"coordd_job_slots", &s.slots},
		{"coordd_job_deployments_total", &s.deployments},
		{"coordd_job_attempts_adopted_total", &s.adopted},
		{"coordd_job_attempts_lost_total", &s.lost},
		{"coordd_job_record_writes_total", &s.writes},
		{"coordd_job_record_write_failures_total", &s.writeFailures},
	} {
		metrics = append(metrics, gateway.Metric{Name: m.name, Value: float64(m.n.Load())})
	}
	return metrics
}

// gauge notes what the job holds.
func (s *stats) gauge(p *pool) {
	s.workers.Store(int64(len(p.fleet)))
	s.slots.Store(int64(p.slots()))
}
