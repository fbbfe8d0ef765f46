package agent

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/rpc/remote"
)

// scrapeTimeout bounds what a scrape asks of the dispatcher.
const scrapeTimeout = time.Second

// metrics are what the parts report as things happen. What can be looked at is
// not among them: views reads it at each scrape.
type metrics struct {
	registry        *prometheus.Registry
	terms           prometheus.Counter
	takeover        *prometheus.GaugeVec
	recovered       prometheus.Gauge
	recovering      *prometheus.GaugeVec
	quarantined     prometheus.Counter
	forgotten       prometheus.Counter
	ended           *prometheus.CounterVec
	cleanupFailures *prometheus.CounterVec
	store           *storeMetrics
	rpc             *remote.Metrics
}

func newMetrics() *metrics {
	return &metrics{
		registry: prometheus.NewRegistry(),
		store:    newStoreMetrics(),
		rpc:      remote.NewMetrics(),
		terms: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "coordd_terms_total", Help: "Terms that were granted to this agent.",
		}),
		takeover: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "coordd_takeover_seconds", Help: "How long each phase of this agent's newest take-over took.",
		}, []string{"phase"}),
		recovered: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "coordd_jobs_recovered", Help: "Jobs that this agent's newest take-over found and runs on.",
		}),
		recovering: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "coordd_recovery_graphs", Help: "Graphs that this agent's newest take-over found and has read, by what.",
		}, []string{"what"}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "coordd_results_forgotten_total", Help: "Results that were deleted because they were too many or too old.",
		}),
		quarantined: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "coordd_jobs_quarantined_total", Help: "Jobs that were put aside because they could not be read or go on.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "coordd_jobs_ended_total", Help: "Jobs whose result this agent recorded, by status.",
		}, []string{"status"}),
		cleanupFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "coordd_cleanup_failures_total", Help: "Failed tries to clean up after a job, to note its quarantine, or to forget old results, by cleaner.",
		}, []string{"cleaner"}),
	}
}

// hooks connects the coordinator.
func (m *metrics) hooks() coordinator.Hooks {
	return coordinator.Hooks{
		OnStep: func(step coordinator.Step, took time.Duration) {
			m.takeover.WithLabelValues(string(step)).Set(took.Seconds())
		},
		OnRecovered: func(jobs, _, quarantined int) {
			m.recovered.Set(float64(jobs))
			m.quarantined.Add(float64(quarantined))
		},
		OnRecovering: func(done, of int) {
			m.recovering.WithLabelValues("found").Set(float64(of))
			m.recovering.WithLabelValues("read").Set(float64(done))
		},
		OnForgotten:     func(n int) { m.forgotten.Add(float64(n)) },
		OnQuarantined:   func(job.ID) { m.quarantined.Inc() },
		OnJobEnded:      func(s job.Status) { m.ended.WithLabelValues(string(s)).Inc() },
		OnCleanupFailed: func(cleaner string) { m.cleanupFailures.WithLabelValues(cleaner).Inc() },
	}
}

// electionHooks connects the elector.
func (m *metrics) electionHooks() election.Hooks {
	return election.Hooks{OnElected: func(election.Status) { m.terms.Inc() }}
}

// register makes everything visible. ctx bounds what scrapes ask.
func (m *metrics) register(ctx context.Context, v views) error {
	all := []prometheus.Collector{
		m.terms, m.takeover, m.recovered, m.recovering, m.quarantined, m.forgotten, m.ended, m.cleanupFailures,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		leadershipView{v.elector, v.cluster}, jobsView{func() ([]job.Snapshot, error) { return v.jobs(ctx) }},
	}
	if v.zookeeper {
		all = append(all, sessionView{v.health})
	}
	all = append(all, m.rpc)
	all = append(all, m.store.collectors()...)
	errs := make([]error, 0, len(all))
	for _, c := range all {
		errs = append(errs, m.registry.Register(c))
	}
	return errors.Join(errs...)
}

// views is what scrapes look at.
type views struct {
	cluster   string
	zookeeper bool
	elector   *election.Elector
	health    interface{ Health() ha.Health }
	runner    *coordinator.Runner
}

// jobs asks the dispatcher of this agent's term.
func (v views) jobs(ctx context.Context) ([]job.Snapshot, error) {
	dispatcher, err := v.runner.Dispatcher()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	return dispatcher.Jobs(ctx)
}
