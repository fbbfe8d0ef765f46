// Package resultstoretest holds what every backend's storage must keep to when
// resultstore runs on it.
package resultstoretest

import (
	"testing"

	"github.com/coordd/coordd/jobstore/jobstoretest"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
)

// Harness is one empty storage, made for one test.
type Harness struct {
	// Driver reaches the storage. It serves the guards of all terms.
	Driver resultstore.Driver
	// Lead begins a new term and returns its guard. It deposes the term before,
	// and returns when the backend has done so and Driver knows.
	Lead func(t testing.TB) leader.Guard
	// Faults disturbs the storage. Nil: the tests that need faults are left out.
	Faults jobstoretest.Faults
}

// Run checks resultstore over the storage that start makes, and the storage
// itself. Every test calls start once; start registers its clean-up with t.
func Run(t *testing.T, start func(t testing.TB) Harness) {
	t.Helper()
	t.Run("driver", func(t *testing.T) {
		jobstoretest.RunDriver(t, func(t testing.TB) jobstoretest.Harness {
			t.Helper()
			h := start(t)
			return jobstoretest.Harness{Driver: h.Driver, Lead: h.Lead, Faults: h.Faults}
		})
	})
	t.Run("store", func(t *testing.T) {
		for _, c := range append(tests(), forgetTests()...) {
			t.Run(c.name, func(t *testing.T) { c.check(t, start(t)) })
		}
	})
}
