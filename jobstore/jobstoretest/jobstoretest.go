// Package jobstoretest holds what every backend's storage must keep to when
// jobstore runs on it. Run checks the driver and the store over it; RunDriver the
// driver alone, for other stores whose driver has the same methods.
package jobstoretest

import (
	"slices"
	"testing"

	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// Harness is one empty storage, made for one test.
type Harness struct {
	// Driver reaches the storage. It serves the guards of all terms.
	Driver jobstore.Driver
	// Lead begins a new term and returns its guard. It deposes the term before,
	// and returns when the backend has done so and Driver knows.
	Lead func(t testing.TB) leader.Guard
	// Faults disturbs the storage. Nil: the tests that need faults are left out.
	Faults Faults
}

// Faults makes calls of a driver go wrong.
type Faults interface {
	// Fail lets each call of the operation ("get", "list", "commit") on the path
	// fail with err, without effect, until the returned function is called.
	Fail(t testing.TB, op, path string, err error) (stop func())
}

// A test checks one behaviour on a fresh harness.
type test struct {
	name  string
	check func(t *testing.T, h Harness)
}

// Run checks jobstore over the storage that start makes, and the storage itself.
// Every test calls start once; start registers its clean-up with t.
func Run(t *testing.T, start func(t testing.TB) Harness) {
	t.Helper()
	t.Run("driver", func(t *testing.T) { RunDriver(t, start) })
	t.Run("store", func(t *testing.T) {
		run(t, start, slices.Concat(storeTests(), outputTests(), quarantineTests(), blobTests()))
	})
}

// RunDriver checks the storage that start makes against the contract of
// jobstore.Driver.
func RunDriver(t *testing.T, start func(t testing.TB) Harness) {
	t.Helper()
	run(t, start, driverTests())
}

func run(t *testing.T, start func(t testing.TB) Harness, tests []test) {
	t.Helper()
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { c.check(t, start(t)) })
	}
}
