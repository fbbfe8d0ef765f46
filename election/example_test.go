package election_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// A service that acts only while it leads. With a real backend, the driver comes
// from election/zk or ha/embedded.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	elector, err := election.New(election.Config{ID: "node-1", Driver: &alone{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = elector.Run(ctx, election.ContenderFunc(func(ctx context.Context, t *election.Term) error {
		t.SetPhase(leader.PhaseRecovering)
		// Read what the former leader left, then say that the service is there.
		if err := t.Publish(ctx, leader.Info{Address: "http://127.0.0.1:8080"}); err != nil {
			return err
		}
		fmt.Println("leading in epoch", t.Epoch(), "and", elector.Status().Phase)
		stop() // as a signal would
		<-ctx.Done()
		fmt.Println("ended:", context.Cause(ctx))
		return nil
	}))
	fmt.Println("Run:", err)

	// Output:
	// leading in epoch 1 and ready
	// ended: resigned
	// Run: context canceled
}

// A migration that one of many instances carries out, once.
func ExampleElector_Campaign() {
	elector, err := election.New(election.Config{ID: "node-1", Driver: &alone{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = elector.Campaign(context.Background(), election.ContenderFunc(func(_ context.Context, t *election.Term) error {
		fmt.Println("migrating in epoch", t.Epoch())
		return nil // which gives leadership up
	}))
	switch {
	case errors.Is(err, election.ErrSessionExpired), errors.Is(err, election.ErrLeaseExpired):
		fmt.Println("leadership was taken away half-way:", err)
	case err != nil:
		fmt.Println("the migration failed:", err)
	default:
		fmt.Println("done")
	}

	// Output:
	// migrating in epoch 1
	// done
}

// Two components that are led together.
func ExampleGroup() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	announce := election.ContenderFunc(func(ctx context.Context, t *election.Term) error {
		if err := t.Publish(ctx, leader.Info{Address: "http://127.0.0.1:8080"}); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	elector, err := election.New(election.Config{ID: "node-1", Driver: &alone{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		defer stop()
		for {
			changed := elector.Changed()
			if s := elector.Status(); s.Phase == leader.PhaseReady {
				fmt.Println(s.Phases)
				return
			}
			<-changed
		}
	}()
	err = elector.Run(ctx, election.Group{leader.Dispatcher: announce, leader.RESTServer: announce})
	fmt.Println("Run:", err)

	// Output:
	// map[dispatcher:ready rest_server:ready]
	// Run: context canceled
}

// alone is the driver of a world with one participant.
type alone struct{ epoch leader.Epoch }

func (a *alone) Campaign(context.Context, election.Candidate) (election.Tenure, error) {
	a.epoch++
	return tenure{guard: leader.NewGuard(a.epoch, a)}, nil
}

func (a *alone) Participants(context.Context) ([]election.Participant, error) {
	return []election.Participant{{ID: "alone", Epoch: a.epoch}}, nil
}

func (a *alone) Transfer(context.Context, string) error { return nil }

type tenure struct{ guard leader.Guard }

func (t tenure) Guard() leader.Guard                         { return t.guard }
func (tenure) Lost() <-chan struct{}                         { return nil }
func (tenure) Err() error                                    { return nil }
func (tenure) Publish(context.Context, ...leader.Info) error { return nil }
func (tenure) Release(context.Context) error                 { return nil }
