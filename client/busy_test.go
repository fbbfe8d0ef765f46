package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coordd/coordd/job"
)

// busyNode answers 429 to the first n requests, and counts them.
func busyNode(t *testing.T, n int64, retryAfter string) (node *httptest.Server, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	node = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) > n {
			_, _ = w.Write([]byte(`{"id":"etl"}`))
			return
		}
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"status":429,"code":"busy","detail":"the leader is busy"}`))
	}))
	t.Cleanup(node.Close)
	return node, asked
}

func TestABusyLeaderIsAskedAgainWhenItSays(t *testing.T) {
	busy, asked := busyNode(t, 1, "1")
	other, others := busyNode(t, 0, "")
	var waits []error
	c, err := New(Config{Addresses: []string{busy.URL, other.URL}, OnRetry: func(reason error) { waits = append(waits, reason) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	snap, err := c.Job(t.Context(), "etl")
	if err != nil || snap.ID != job.ID("etl") {
		t.Errorf("got %+v, %v; want the job", snap, err)
	}
	if asked.Load() != 2 || others.Load() != 0 {
		t.Errorf("the busy node was asked %d times and the other %d; want 2, and 0 as it would ask the same leader", asked.Load(), others.Load())
	}
	var answer *Error
	if len(waits) != 1 || !errors.As(waits[0], &answer) || !errors.Is(answer, ErrBusy) || answer.RetryAfter != time.Second {
		t.Errorf("it was asked again because of %v, want one ErrBusy that asks for a second", waits)
	}
}

func TestWithoutPatienceABusyLeaderIsAnError(t *testing.T) {
	busy, asked := busyNode(t, 1, "3600")
	c, err := New(Config{Addresses: []string{busy.URL}, Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = c.Job(t.Context(), "etl")
	var answer *Error
	if !errors.Is(err, ErrBusy) || !errors.As(err, &answer) || answer.RetryAfter != maxRetryAfter || asked.Load() != 1 {
		t.Errorf("got %v after %d requests, want ErrBusy after one, and a wait of at most %v", err, asked.Load(), maxRetryAfter)
	}
}
