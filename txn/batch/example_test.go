package batch_test

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/txn/batch"
)

// Stores work over a Driver as over the backend itself, which stands here for
// ha.Services.Store.
func Example() {
	storage := newTower()
	driver, err := batch.New(batch.Config{Storage: storage, OnFlight: func(f batch.Flight) {
		fmt.Printf("%d transaction(s), %d operations\n", f.Transactions, f.Ops)
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	jobs := jobstore.New(driver)
	if err := jobs.Put(context.Background(), guard(1), jobstore.Job{ID: "etl"}); err != nil {
		fmt.Println(err)
	}
	// Output: 1 transaction(s), 2 operations
}
