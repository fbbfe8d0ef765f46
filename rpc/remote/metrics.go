package remote

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts the calls of a service, by method and side: "client" and "server" of
// the wire, and "local". Register it with a prometheus.Registerer.
type Metrics struct {
	seconds *prometheus.HistogramVec
	errors  *prometheus.CounterVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics for the Config of one service.
func NewMetrics() *Metrics {
	labels := []string{"method", "side"}
	return &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "coordd_rpc_call_seconds", Help: "How long calls took.",
			Buckets: []float64{0.001, 0.01, 0.1, 1, 10},
		}, labels),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "coordd_rpc_call_errors_total", Help: "Calls that ended with an error.",
		}, labels),
	}
}

// Describe describes the metrics.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	m.seconds.Describe(to)
	m.errors.Describe(to)
}

// Collect collects the metrics.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.seconds.Collect(to)
	m.errors.Collect(to)
}

// meters count the calls of one method.
type meters struct{ client, server, local meter }

func (m *Metrics) of(method string) meters {
	return meters{m.meter(method, "client"), m.meter(method, "server"), m.meter(method, "local")}
}

// meter counts one side of a method; the zero one counts nothing.
type meter struct {
	// counters makes the counters at the first call, so that nobody reads of those that
	// are never used.
	counters func() counters
}

type counters struct {
	seconds prometheus.Observer
	errors  prometheus.Counter
}

func (m *Metrics) meter(method, side string) meter {
	if m == nil {
		return meter{}
	}
	return meter{counters: sync.OnceValue(func() counters {
		return counters{m.seconds.WithLabelValues(method, side), m.errors.WithLabelValues(method, side)}
	})}
}

func (m meter) begin() time.Time {
	if m.counters == nil {
		return time.Time{}
	}
	return time.Now()
}

func (m meter) end(begun time.Time, err error) {
	if m.counters == nil {
		return
	}
	c := m.counters()
	c.seconds.Observe(time.Since(begun).Seconds())
	if err != nil {
		c.errors.Inc()
	}
}
