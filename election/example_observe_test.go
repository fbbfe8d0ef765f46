package election_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
)

// health answers 200 only where the leader serves: what a load balancer asks for.
func health(elector *election.Elector) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if elector.Status().Phase != leader.PhaseReady {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

// await blocks until the status is as wanted.
func await(elector *election.Elector, wanted func(election.Status) bool) {
	for {
		changed := elector.Changed() // before Status, so that no change is missed
		if wanted(elector.Status()) {
			return
		}
		<-changed
	}
}

// Observing one's own leadership: a health check asks for the Status, and whoever
// has to follow it waits for its changes.
func ExampleElector_Changed() {
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
	defer stop()
	session, closeSession := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer closeSession()
	running.Go(func() { _ = participant.Run(session) })

	ask := func() int {
		answer := httptest.NewRecorder()
		health(elector)(answer, nil)
		return answer.Code
	}
	running.Go(func() {
		_ = elector.Run(ctx, election.ContenderFunc(func(ctx context.Context, t *election.Term) error {
			t.SetPhase(leader.PhaseReady)
			<-ctx.Done()
			return nil
		}))
	})
	await(elector, func(s election.Status) bool { return s.Phase == leader.PhaseReady })
	fmt.Println("ready:", ask())
	stop()
	await(elector, func(s election.Status) bool { return !s.Leading })
	fmt.Println("stopped:", ask())

	// Output:
	// ready: 200
	// stopped: 503
}
