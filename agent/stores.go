package agent

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
	"github.com/coordd/coordd/txn/batch"
)

// acceptingStore is the store of jobs as the coordinator uses it: what is submitted
// does not queue behind too much, everything else does.
type acceptingStore struct {
	*jobstore.Store
	door *jobstore.Store
}

var _ coordinator.JobStore = acceptingStore{}

// Put is jobstore's, with txn.ErrFull as one more error.
func (s acceptingStore) Put(ctx context.Context, g leader.Guard, j jobstore.Job) error {
	return s.door.Put(ctx, g, j)
}

// newStores returns both stores over one group commit, so that their transactions
// share flights.
func newStores(storage ha.Store, m *storeMetrics, options ...jobstore.Option) (acceptingStore, *resultstore.Store, error) {
	driver, err := batch.New(batch.Config{Storage: storage, OnFlight: m.flight})
	if err != nil {
		return acceptingStore{}, nil, err
	}
	jobs := acceptingStore{Store: jobstore.New(driver, options...), door: jobstore.New(driver.Bounded(), options...)}
	return jobs, resultstore.New(driver), nil
}

// storeMetrics are what is told of writes to the backend.
type storeMetrics struct {
	transactions prometheus.Histogram
	seconds      prometheus.Histogram
	failed       prometheus.Counter
}

func newStoreMetrics() *storeMetrics {
	return &storeMetrics{
		transactions: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "coordd_store_flight_transactions", Help: "How many transactions shared a write to the backend.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500},
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "coordd_store_flight_seconds", Help: "How long a write to the backend took.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "coordd_store_flights_failed_total", Help: "Writes to the backend that were refused, fenced, or whose outcome is unknown.",
		}),
	}
}

// flight is told of each write.
func (m *storeMetrics) flight(f batch.Flight) {
	m.transactions.Observe(float64(f.Transactions))
	m.seconds.Observe(f.Took.Seconds())
	if f.Err != nil && !errors.Is(f.Err, context.Canceled) {
		m.failed.Inc()
	}
}

// collectors returns what is to be registered.
func (m *storeMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.transactions, m.seconds, m.failed}
}
