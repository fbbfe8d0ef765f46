package taskexecutor

import "github.com/coordd/coordd/cluster/gateway"

// counts are what happened since the start.
type counts struct {
	deployed, finished, failed, canceled int
}

func (c *counts) ended(o gateway.Outcome) {
	switch o {
	case gateway.OutcomeFinished:
		c.finished++
	case gateway.OutcomeCanceled:
		c.canceled++
	default:
		c.failed++
	}
}

// metrics are the worker's figures as of now.
func (s *state) metrics() []gateway.Metric {
	masters, registered := 0, 0
	for _, t := range s.tenants {
		if t.link.registered() {
			masters++
		}
	}
	if s.manager.link.registered() {
		registered = 1
	}
	figure := func(name string, value int) gateway.Metric {
		return gateway.Metric{Name: "coordd_worker_" + name, Value: float64(value)}
	}
	outcome := func(o gateway.Outcome, n int) gateway.Metric {
		m := figure("attempts_ended_total", n)
		m.Labels = map[string]string{"outcome": string(o)}
		return m
	}
	return []gateway.Metric{
		figure("slots", s.cfg.Slots),
		figure("slots_free", s.vacant()),
		figure("attempts_running", len(s.attempts)),
		figure("attempts_deployed_total", s.counts.deployed),
		outcome(gateway.OutcomeFinished, s.counts.finished),
		outcome(gateway.OutcomeFailed, s.counts.failed),
		outcome(gateway.OutcomeCanceled, s.counts.canceled),
		figure("ends_kept", s.kept.ends),
		figure("ends_kept_bytes", s.kept.bytes),
		figure("jobs", len(s.tenants)),
		figure("job_masters_connected", masters),
		figure("resource_manager_connected", registered),
	}
}
