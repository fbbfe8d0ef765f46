package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// leadershipView is the agent's own leadership at the time of a scrape.
type leadershipView struct {
	elector *election.Elector
	cluster string
}

var _ prometheus.Collector = leadershipView{}

func (leadershipView) leader() *prometheus.Desc {
	return prometheus.NewDesc("coordd_leader", "1 while this agent leads, from the start of its term.", nil, nil)
}

func (leadershipView) ready() *prometheus.Desc {
	return prometheus.NewDesc("coordd_leader_ready", "1 while this agent leads and serves.", nil, nil)
}

func (leadershipView) epoch() *prometheus.Desc {
	return prometheus.NewDesc("coordd_leader_epoch", "The epoch of the term that this agent holds, 0 without one.", nil, nil)
}

func (leadershipView) alias() *prometheus.Desc {
	return prometheus.NewDesc("leader_election_master_status",
		"1 while this agent leads; the name under which Kubernetes' controllers report it.", []string{"name"}, nil)
}

// Describe implements prometheus.Collector.
func (v leadershipView) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{v.leader(), v.ready(), v.epoch(), v.alias()} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (v leadershipView) Collect(out chan<- prometheus.Metric) {
	st := v.elector.Status()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(v.leader(), truth(st.Leading))
	gauge(v.ready(), truth(st.Leading && st.Phases[leader.Dispatcher] == leader.PhaseReady))
	gauge(v.epoch(), float64(st.Epoch))
	gauge(v.alias(), truth(st.Leading), v.cluster)
}

// jobsView counts the jobs of this agent's term. Other agents have none.
type jobsView struct {
	jobs func() ([]job.Snapshot, error)
}

var _ prometheus.Collector = jobsView{}

func (jobsView) count() *prometheus.Desc {
	return prometheus.NewDesc("coordd_jobs", "Jobs that the leader knows, by status; only the leader has any.", []string{"status"}, nil)
}

// Describe implements prometheus.Collector.
func (v jobsView) Describe(out chan<- *prometheus.Desc) { out <- v.count() }

// Collect implements prometheus.Collector.
func (v jobsView) Collect(out chan<- prometheus.Metric) {
	jobs, err := v.jobs()
	if err != nil {
		return // this agent does not lead, or not any more
	}
	counts := make(map[job.Status]int)
	for _, s := range []job.Status{job.StatusRunning, job.StatusFinished, job.StatusFailed, job.StatusCanceled} {
		counts[s] = 0
	}
	for _, j := range jobs {
		counts[j.Status]++
	}
	for status, n := range counts {
		out <- prometheus.MustNewConstMetric(v.count(), prometheus.GaugeValue, float64(n), string(status))
	}
}

// sessionView is the state of the ZooKeeper session at the time of a scrape.
type sessionView struct {
	health interface{ Health() ha.Health }
}

var _ prometheus.Collector = sessionView{}

func (sessionView) state() *prometheus.Desc {
	return prometheus.NewDesc("coordd_zookeeper_session_state",
		"1 for the state that the ZooKeeper session is in, 0 for the others.", []string{"state"}, nil)
}

// Describe implements prometheus.Collector.
func (v sessionView) Describe(out chan<- *prometheus.Desc) { out <- v.state() }

// Collect implements prometheus.Collector.
func (v sessionView) Collect(out chan<- prometheus.Metric) {
	now := v.health.Health().State
	states := []string{"connecting", "connected", "suspended", "expired", "closed"}
	for _, s := range states {
		out <- prometheus.MustNewConstMetric(v.state(), prometheus.GaugeValue, truth(s == now), s)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
