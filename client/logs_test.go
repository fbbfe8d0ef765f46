package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// piece is one answer about an output.
type piece struct {
	offset        int
	attempt, text string
	// cut loses the connection after the text.
	cut bool
}

// serve answers with the pieces, one after the other; the last one again and again.
func (n *node) serve(pieces ...piece) {
	n.set(func(w http.ResponseWriter, _ *http.Request) {
		n.mu.Lock()
		p := pieces[0]
		pieces = pieces[min(1, len(pieces)-1):]
		n.mu.Unlock()
		w.Header().Set("Coordd-Log-Offset", fmt.Sprint(p.offset))
		w.Header().Set("Coordd-Log-Attempt", p.attempt)
		fmt.Fprint(w, p.text)
		if p.cut {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
}

func TestLogsAreWrittenToTheirEndThroughLostConnections(t *testing.T) {
	n := newNode(t, nil)
	n.serve(piece{10, "7/1", "hello", true}, piece{15, "7/1", "", true}, piece{15, "7/1", " world", false})
	c := newClient(t, Config{Addresses: []string{n.url}, Timeout: 10 * time.Second})
	var out strings.Builder
	err := c.Logs(t.Context(), LogRequest{Job: "etl", Task: "extract", Subtask: 2, Offset: -100, Follow: true}, &out)
	if err != nil || out.String() != "hello world" {
		t.Errorf("read %q, %v", out.String(), err)
	}
	const path = "GET /v1/jobs/etl/tasks/extract/2/log?follow=true&offset="
	if got, want := n.questions(), []string{
		strings.Replace(path, "?follow=true&offset=", "?follow=true&offset=-100", 1), path + "15", path + "15",
	}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestAFollowedLogMayTakeLongerThanARequest(t *testing.T) {
	const limit = 50 * time.Millisecond
	n := newNode(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Coordd-Log-Offset", "0")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(4 * limit):
		case <-r.Context().Done():
		}
		fmt.Fprint(w, "late")
	})
	c := newClient(t, Config{Addresses: []string{n.url}, Timeout: limit, Patience: -1})
	var out strings.Builder
	if err := c.Logs(t.Context(), LogRequest{Follow: true}, &out); err != nil || out.String() != "late" {
		t.Errorf("read %q, %v", out.String(), err)
	}
}

func TestLogsThatAreNotWhole(t *testing.T) {
	for name, test := range map[string]struct {
		pieces []piece
		text   string
	}{
		"another attempt": {[]piece{{0, "7/1", "hello", true}, {5, "7/2", "other", false}}, "attempt 7/1 has ended"},
		"rotated away":    {[]piece{{0, "7/1", "hello", true}, {50, "7/1", "later", false}}, "bytes 5 to 50"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			n.serve(test.pieces...)
			var out strings.Builder
			err := newClient(t, Config{Addresses: []string{n.url}}).Logs(t.Context(), LogRequest{}, &out)
			if !errors.Is(err, ErrNoLog) || !strings.Contains(err.Error(), test.text) || out.String() != "hello" {
				t.Errorf("read %q, %v; want what is right, and ErrNoLog with %q", out.String(), err, test.text)
			}
		})
	}
}

// brokenWriter cannot be written to.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestLogsEndWithAnError(t *testing.T) {
	n := newNode(t, nil)
	c := newClient(t, Config{Addresses: []string{n.url}, Patience: -1})
	n.serve(piece{0, "7/1", "hello", true})
	if err := c.Logs(t.Context(), LogRequest{}, io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("without patience a lost connection is %v, want an unexpected end", err)
	}
	n.serve(piece{0, "7/1", "hello", false})
	if err := c.Logs(t.Context(), LogRequest{}, brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a writer that fails is %v, want its error", err)
	}
	n.set(says(200, "<html>"))
	if err := c.Logs(t.Context(), LogRequest{}, io.Discard); err == nil || !strings.Contains(err.Error(), "is it a coordd?") {
		t.Errorf("something else at the address is %v", err)
	}
	for code, want := range map[string]error{"no_log": ErrNoLog, "no_such_task": ErrNoTask, "no_such_job": ErrNoJob} {
		n.set(says(404, `{"code":"`+code+`","detail":"no"}`))
		if err := c.Logs(t.Context(), LogRequest{}, io.Discard); !errors.Is(err, want) {
			t.Errorf("code %s is %v, want %v", code, err, want)
		}
	}
}

func TestLogsEndWithTheirContext(t *testing.T) {
	n := newNode(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Coordd-Log-Offset", "0")
		fmt.Fprint(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c := newClient(t, Config{Addresses: []string{n.url}})
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	go func() {
		_, _ = read.Read(make([]byte, 5))
		cancel()
	}()
	if err := c.Logs(ctx, LogRequest{Follow: true}, write); !errors.Is(err, context.Canceled) {
		t.Errorf("Logs is %v, want context.Canceled", err)
	}
}

func TestALogThatIsCutOffAgainAndAgainIsGivenUp(t *testing.T) {
	n := newNode(t, nil)
	n.serve(piece{0, "7/1", "", true})
	c := newClient(t, Config{Addresses: []string{n.url}, Patience: 300 * time.Millisecond})
	err := c.Logs(t.Context(), LogRequest{}, io.Discard)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(n.questions()) < 2 {
		t.Errorf("Logs is %v after %d requests, want an unexpected end after some", err, len(n.questions()))
	}
}
