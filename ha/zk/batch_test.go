package zk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/jobstore/jobstoretest"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore/resultstoretest"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/txn/batch"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// batched is a participant's store behind group commit.
func batched(t testing.TB, s *Services, told func(batch.Flight)) *batch.Driver {
	t.Helper()
	d, err := batch.New(batch.Config{Storage: s.Store(), OnFlight: told})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStoresConformInBatches(t *testing.T) {
	c := &clusters{server: zookeepertest.StartServer(t)}
	t.Run("jobs", func(t *testing.T) {
		jobstoretest.Run(t, func(t testing.TB) jobstoretest.Harness {
			t.Helper()
			s, lead := leaders(t, c)
			return jobstoretest.Harness{Driver: batched(t, s, nil), Lead: lead}
		})
	})
	t.Run("results", func(t *testing.T) {
		resultstoretest.Run(t, func(t testing.TB) resultstoretest.Harness {
			t.Helper()
			s, lead := leaders(t, c)
			return resultstoretest.Harness{Driver: batched(t, s, nil), Lead: lead}
		})
	})
}

// TestBatchesOfEveryKindOnARealServer makes many transactions at once: some create,
// some replace, some remove what may not be there, some cannot be done.
func TestBatchesOfEveryKindOnARealServer(t *testing.T) {
	const n = 200
	c := &clusters{server: zookeepertest.StartServer(t)}
	s, lead := leaders(t, c)
	g := lead(t)
	var mu sync.Mutex
	largest := 0
	d := batched(t, s, func(f batch.Flight) {
		mu.Lock()
		defer mu.Unlock()
		largest = max(largest, f.Transactions)
	})
	kinds := []txn.Kind{txn.Create, txn.Put, txn.Delete, txn.Remove}
	commitAll(t, d, g, n, func(i int) (string, []txn.Op, error) {
		path := fmt.Sprintf("mixed/%d", i)
		op := txn.Op{Kind: kinds[i%4], Path: path, Data: []byte(path)}
		var want error
		if op.Kind == txn.Put || op.Kind == txn.Delete {
			want = txn.ErrNotFound
		}
		return path, []txn.Op{{Kind: txn.Remove, Path: path + "-absent"}, op}, want
	})
	commitAll(t, d, g, n, func(i int) (string, []txn.Op, error) {
		path := fmt.Sprintf("mixed/%d", i)
		want := txn.ErrNotFound
		if kinds[i%4] == txn.Create {
			want = nil
		}
		return path, []txn.Op{{Kind: txn.Delete, Path: path}}, want
	})
	if largest < 2 {
		t.Errorf("the largest of all flights had %d transactions, so nothing was tested", largest)
	}
}

// commitAll commits n transactions at once and checks each one's own outcome.
func commitAll(t *testing.T, d *batch.Driver, g leader.Guard, n int, transaction func(i int) (string, []txn.Op, error)) {
	t.Helper()
	ctx := within(t)
	var all sync.WaitGroup
	for i := range n {
		path, ops, want := transaction(i)
		all.Go(func() {
			if err := d.Commit(ctx, g, ops...); !errors.Is(err, want) {
				t.Errorf("%s of %s ended with %v, want %v", ops[len(ops)-1].Kind, path, err, want)
			}
		})
	}
	all.Wait()
}

// TestABatchWhoseReplyWasLostIsStoredOnce has a batch applied and its reply lost:
// the multi is issued again, finds everything done, and has to recognise its own.
func TestABatchWhoseReplyWasLostIsStoredOnce(t *testing.T) {
	const n, timeout = 50, 10 * sessionTimeout
	server := zookeepertest.StartServer(t)
	proxy := zookeepertest.StartProxy(t, server.Addr())
	admin, err := zookeeper.Open(within(t), zookeeper.Config{Servers: []string{server.Addr()}, SessionTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	s := participant(t, Config{Servers: []string{proxy.Addr()}, Root: "/lost", SessionTimeout: timeout})
	ctx := within(t)
	tenure, err := s.Election().Campaign(ctx, election.Candidate{ID: "writer", StopGrace: sessionTimeout / 8})
	if err != nil {
		t.Fatal(err)
	}
	g := tenure.Guard()
	if err := s.Store().Commit(ctx, g, txn.Op{Kind: txn.Create, Path: "jobs/0", Data: []byte("0")}); err != nil {
		t.Fatal(err)
	}
	lost := make(chan string, 1)
	d, err := batch.New(batch.Config{Storage: &firstBatch{Storage: s.Store(), seen: func(path string) {
		proxy.Freeze(zookeepertest.ToClient)
		lost <- path
	}}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		commitAll(t, d, g, n, func(i int) (string, []txn.Op, error) {
			path := fmt.Sprintf("jobs/%d", i+1)
			return path, []txn.Op{{Kind: txn.Create, Path: path, Data: []byte(path)}}, nil
		})
		close(lost)
	}()
	path, found := <-lost
	if !found {
		t.Fatal("no flight had two transactions, so nothing was tested")
	}
	await(ctx, t, "the batch is applied whose reply is held back", func() bool {
		_, applied, err := admin.Exists(ctx, "/lost/"+path)
		return err == nil && applied
	})
	proxy.Drop()
	proxy.Heal()
	<-done
}

// firstBatch tells of the first commit of several operations, before it is made.
type firstBatch struct {
	batch.Storage
	seen func(path string)
	once sync.Once
}

func (s *firstBatch) Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error {
	if len(ops) > 1 {
		s.once.Do(func() { s.seen(ops[0].Path) })
	}
	return s.Storage.Commit(ctx, g, ops...)
}

func TestWhatIsNotThereToRemoveCostsNoWriteEach(t *testing.T) {
	const n = 200
	c := &clusters{server: zookeepertest.StartServer(t)}
	s, lead := leaders(t, c)
	g, ctx := lead(t), within(t)
	created := func(path string, also ...txn.Op) int64 {
		if err := s.Store().Commit(ctx, g, append(also, txn.Op{Kind: txn.Create, Path: path})...); err != nil {
			t.Fatal(err)
		}
		session, err := s.Client().Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		stat, _, err := session.Exists(ctx, s.store.full(path))
		if err != nil {
			t.Fatal(err)
		}
		return stat.Czxid
	}
	before := created("removes/before")
	var absent []txn.Op
	for i := range n {
		absent = append(absent, txn.Op{Kind: txn.Remove, Path: fmt.Sprintf("removes/absent-%d", i)})
	}
	// Renewals of the lease are writes too.
	if writes := created("removes/after", absent...) - before; writes > n/4 {
		t.Errorf("%d removes of what is not there took %d writes, want a few", n, writes)
	}
}
