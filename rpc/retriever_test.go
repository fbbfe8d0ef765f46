package rpc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// retrieve runs f in a bubble with a retriever that runs, and what it dials with.
func retrieve(t *testing.T, dial func(ctx context.Context, t Target) (string, error), f func(t *testing.T, r *Retriever[string], hungUp *[]string)) {
	synctest.Test(t, func(t *testing.T) {
		var hungUp []string
		r, err := NewRetriever(RetrieverConfig[string]{Dial: func(ctx context.Context, to Target) (string, func(), error) {
			gateway, err := dial(ctx, to)
			return gateway, func() { hungUp = append(hungUp, gateway) }, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		f(t, r, &hungUp)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if _, ok := r.Current(); ok {
			t.Error("there is a gateway after Run")
		}
	})
}

// bySession is a Dial that always succeeds.
func bySession(_ context.Context, to Target) (string, error) { return string(to.Term.SessionID), nil }

func TestWaitsForAGateway(t *testing.T) {
	retrieve(t, bySession, func(t *testing.T, r *Retriever[string], hungUp *[]string) {
		if got, ok := r.Current(); ok {
			t.Errorf("got %q without a leader", got)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Gateway(short); !errors.Is(err, ErrNoTarget) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrNoTarget after the deadline", err)
		}
		time.AfterFunc(time.Minute, func() { r.SetTarget(target(1)) })
		if got, err := r.Gateway(t.Context()); got != "s1" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		r.SetTarget(target(1))
		if got, ok := r.Current(); got != "s1" || !ok {
			t.Errorf("the same target: got %q, %v", got, ok)
		}
		r.SetTarget(target(2))
		if got, err := r.Gateway(t.Context()); got != "s2" || err != nil || len(*hungUp) != 1 {
			t.Errorf("after another leader: got %q, %v, hung up %v", got, err, *hungUp)
		}
	})
}

func TestPendingWaitCompletesWithTheNewerLeader(t *testing.T) {
	for name, heeds := range map[string]bool{"heeds the cancel": true, "connects all the same": false} {
		t.Run(name, func(t *testing.T) {
			var late *[]string
			retrieve(t, func(ctx context.Context, to Target) (string, error) {
				if to == target(1) {
					if heeds {
						<-ctx.Done()
						return "", ctx.Err()
					}
					<-time.After(2 * time.Second)
				}
				return string(to.Term.SessionID), nil
			}, func(t *testing.T, r *Retriever[string], hungUp *[]string) {
				late = hungUp
				r.SetTarget(target(1))
				time.AfterFunc(time.Second, func() { r.SetTarget(target(2)) })
				if got, err := r.Gateway(t.Context()); got != "s2" || err != nil {
					t.Errorf("got %q, %v, want the newer leader's", got, err)
				}
				if !heeds && (len(*hungUp) != 1 || (*hungUp)[0] != "s1") {
					t.Errorf("hung up %v, want the older one", *hungUp)
				}
			})
			if len(*late) == 0 || (*late)[len(*late)-1] != "s2" {
				t.Errorf("hung up %v at the end, want s2 last", *late)
			}
		})
	}
}

func TestGivesUpAfterSomeAttemptsAndTriesAgainWhenAsked(t *testing.T) {
	dials, works := 0, false
	retrieve(t, func(_ context.Context, to Target) (string, error) {
		if dials++; works {
			return string(to.Term.SessionID), nil
		}
		return "", ErrRefused
	}, func(t *testing.T, r *Retriever[string], _ *[]string) {
		r.SetTarget(target(1))
		for round := 1; round <= 2; round++ {
			begun := time.Now()
			if _, err := r.Gateway(t.Context()); !errors.Is(err, ErrRefused) || time.Since(begun) != 500*time.Millisecond || dials != 6*round {
				t.Errorf("round %d: got %v after %v and %d dials, want ErrRefused after 500ms and %d", round, err, time.Since(begun), dials, 6*round)
			}
			<-time.After(time.Hour) // nobody asks, nothing is tried
		}
		works = true
		if got, err := r.Gateway(t.Context()); got != "s1" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestLeaderThatWasGivenUpIsTriedAgainForWhoDoesNotWait(t *testing.T) {
	dials, works := 0, false
	retrieve(t, func(_ context.Context, to Target) (string, error) {
		if dials++; works {
			return string(to.Term.SessionID), nil
		}
		return "", ErrRefused
	}, func(t *testing.T, r *Retriever[string], _ *[]string) {
		r.SetTarget(target(1))
		<-time.After(time.Hour)
		for range 3 { // however many ask
			if got, ok := r.Current(); ok {
				t.Errorf("got %q of a leader that refuses connections", got)
			}
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if dials != 2*6 {
			t.Errorf("%d dials, want 6 at first and 6 when somebody had asked", dials)
		}
		works = true
		if got, ok := r.Current(); ok {
			t.Errorf("got %q before it was connected to", got)
		}
		synctest.Wait()
		if got, ok := r.Current(); got != "s1" || !ok {
			t.Errorf("got %q, %v, want the leader's, which can be connected to now", got, ok)
		}
	})
}

func TestNewLeaderIsTriedAfterOneWasGivenUp(t *testing.T) {
	retrieve(t, func(ctx context.Context, to Target) (string, error) {
		if to == target(1) {
			return "", ErrRefused
		}
		return bySession(ctx, to)
	}, func(t *testing.T, r *Retriever[string], _ *[]string) {
		r.SetTarget(target(1))
		_, _ = r.Gateway(t.Context())
		r.SetTarget(target(2))
		synctest.Wait()
		if got, ok := r.Current(); got != "s2" || !ok {
			t.Errorf("got %q, %v", got, ok)
		}
	})
}
