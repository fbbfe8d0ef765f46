package election_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
)

// printer stands for a service elsewhere that only the leader may use. It knows
// nothing of elections: it remembers the largest epoch and refuses smaller ones.
type printer struct {
	mu     sync.Mutex
	newest leader.Epoch
	pages  []string
}

func (p *printer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.Header.Get("Leader-Epoch"), 10, 64)
	if err != nil {
		http.Error(w, "Leader-Epoch is no number", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	epoch := leader.Epoch(n)
	if epoch < p.newest {
		http.Error(w, fmt.Sprintf("epoch %v is over", epoch), http.StatusPreconditionFailed)
		return
	}
	p.newest = epoch // under the same lock as the act itself
	p.pages = append(p.pages, r.FormValue("page"))
}

// printPage sends a page on behalf of a term.
func printPage(ctx context.Context, client *http.Client, url string, epoch leader.Epoch, page string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"?page="+page, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Leader-Epoch", epoch.String())
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusPreconditionFailed:
		return fmt.Errorf("print %s: %w", page, leader.ErrFenced)
	default:
		return fmt.Errorf("print %s: %s", page, answer.Status)
	}
}

// Fencing a call to another service: the call carries the epoch, and the service
// refuses epochs smaller than one that it has seen. A call that a former leader sent
// before it was paused, or that was on its way for long, does no harm.
func Example_fencedCall() {
	printer := &printer{}
	server := httptest.NewServer(printer)
	defer server.Close()
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
			fmt.Println("first term:", printPage(ctx, server.Client(), server.URL, t.Epoch(), "a"))
			return nil // leadership is given up, and won again
		}
		fmt.Println("second term:", printPage(ctx, server.Client(), server.URL, t.Epoch(), "b"))
		fmt.Println("late call of the first:", printPage(ctx, server.Client(), server.URL, former, "c"))
		stop()
		return nil
	}))
	fmt.Println("ended:", err)
	fmt.Println("printed:", printer.pages)

	// Output:
	// first term: <nil>
	// second term: <nil>
	// late call of the first: print c: fenced: this term no longer leads
	// ended: context canceled
	// printed: [a b]
}
