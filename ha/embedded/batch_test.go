package embedded_test

import (
	"testing"

	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/jobstore/jobstoretest"
	"github.com/coordd/coordd/resultstore/resultstoretest"
	"github.com/coordd/coordd/txn/batch"
)

// startBatched is startStore behind group commit.
func startBatched(t testing.TB, cfg embedded.Config) jobstoretest.Harness {
	t.Helper()
	h := startStore(t, cfg)
	driver, err := batch.New(batch.Config{Storage: h.Driver})
	if err != nil {
		t.Fatal(err)
	}
	h.Driver = driver
	return h
}

func TestJobStoreInBatches(t *testing.T) {
	onBoth(t, func(t *testing.T, config func(testing.TB) embedded.Config) {
		t.Helper()
		jobstoretest.Run(t, func(t testing.TB) jobstoretest.Harness { t.Helper(); return startBatched(t, config(t)) })
	})
}

func TestResultStoreInBatches(t *testing.T) {
	onBoth(t, func(t *testing.T, config func(testing.TB) embedded.Config) {
		t.Helper()
		resultstoretest.Run(t, func(t testing.TB) resultstoretest.Harness {
			t.Helper()
			h := startBatched(t, config(t))
			return resultstoretest.Harness{Driver: h.Driver, Lead: h.Lead, Faults: h.Faults}
		})
	})
}
