package examples

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
)

// closeInvoice changes a row on behalf of a term, unless a later term has changed it
// before. The database decides, in the statement that makes the change.
func closeInvoice(ctx context.Context, db *sql.DB, epoch leader.Epoch, id int) error {
	changed, err := db.ExecContext(ctx,
		`UPDATE invoices SET state = 'closed', epoch = ? WHERE id = ? AND epoch <= ?`,
		int64(epoch), id, int64(epoch))
	if err != nil {
		return fmt.Errorf("close invoice %d: %w", id, err)
	}
	if n, err := changed.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fmt.Errorf("close invoice %d: %w", id, leader.ErrFenced)
}

// Fencing an update of a database: the row remembers the epoch that changed it last,
// and the statement does not touch a row of a larger one.
func Example_fencedUpdate() {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection would have a memory of its own
	if _, err := db.Exec(`
		CREATE TABLE invoices (id INTEGER PRIMARY KEY, state TEXT NOT NULL, epoch INTEGER NOT NULL DEFAULT 0);
		INSERT INTO invoices (id, state) VALUES (1, 'open')`); err != nil {
		fmt.Println(err)
		return
	}
	backend, err := embedded.New(embedded.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	participant := backend.Participant("node-1")
	elector, err := election.New(election.Config{ID: "node-1", Driver: participant.Election()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { _ = participant.Run(ctx) })

	var former leader.Epoch
	err = elector.Run(ctx, election.ContenderFunc(func(ctx context.Context, t *election.Term) error {
		if former == 0 {
			former = t.Epoch()
			return nil // leadership is given up, and won again
		}
		fmt.Println("the leader:", closeInvoice(ctx, db, t.Epoch(), 1))
		fmt.Println("a late statement of the former:", closeInvoice(ctx, db, former, 1))
		stop()
		return nil
	}))
	fmt.Println("ended:", err)

	// Output:
	// the leader: <nil>
	// a late statement of the former: close invoice 1: fenced: this term no longer leads
	// ended: context canceled
}
