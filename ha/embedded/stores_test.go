package embedded_test

import (
	"testing"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/jobstore/jobstoretest"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore/resultstoretest"
)

func TestJobStore(t *testing.T) {
	onBoth(t, func(t *testing.T, config func(testing.TB) embedded.Config) {
		t.Helper()
		jobstoretest.Run(t, func(t testing.TB) jobstoretest.Harness { t.Helper(); return startStore(t, config(t)) })
	})
}

func TestResultStore(t *testing.T) {
	onBoth(t, func(t *testing.T, config func(testing.TB) embedded.Config) {
		t.Helper()
		resultstoretest.Run(t, func(t testing.TB) resultstoretest.Harness {
			t.Helper()
			h := startStore(t, config(t))
			return resultstoretest.Harness{Driver: h.Driver, Lead: h.Lead, Faults: h.Faults}
		})
	})
}

// startStore returns the store of one participant that leads term after term. With
// a file, each term but the first is that of another process.
func startStore(t testing.TB, cfg embedded.Config) jobstoretest.Harness {
	t.Helper()
	b := newBackend(t, cfg)
	p := b.Participant("a")
	stop := run(t, p)
	var last election.Tenure
	return jobstoretest.Harness{
		Driver: p.Store(),
		Lead: func(t testing.TB) leader.Guard {
			t.Helper()
			if last != nil {
				if err := last.Release(t.Context()); err != nil {
					t.Fatal(err)
				}
				if cfg.File != "" {
					stop()
					stop = run(t, p)
				}
			}
			last = campaign(t, p)
			return last.Guard()
		},
		Faults: storeFaults{b},
	}
}

type storeFaults struct{ b *embedded.Backend }

func (f storeFaults) Fail(_ testing.TB, op, path string, err error) (stop func()) {
	return f.b.Inject(embedded.Fault{Op: op, Path: path, Err: err})
}
