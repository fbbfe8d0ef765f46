package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// request is one question, asked as often as it takes.
type request struct {
	method, path string
	query        url.Values
	contentType  string
	body         []byte
	// take takes an answer that is no problem. It owns the body when stream is set.
	take   func(address string, resp *http.Response) error
	stream bool
}

// ask goes round the nodes until one answers or patience ends, and decodes the
// answer into out. It returns the HTTP status of the answer.
func (c *Client) ask(ctx context.Context, r request, out any) (int, error) {
	r.take = func(address string, resp *http.Response) error { return decode(address, r.path, resp, out) }
	return c.send(ctx, r)
}

// send is ask with what takes the answer in the request.
func (c *Client) send(ctx context.Context, r request) (int, error) {
	var until <-chan time.Time
	if c.cfg.Patience > 0 {
		timer := time.NewTimer(c.cfg.Patience)
		defer timer.Stop()
		until = timer.C
	}
	pause := firstPause
	for {
		targets, changed := c.targets()
		status, err := c.round(ctx, targets, r)
		var again *roundError
		if err == nil || !errors.As(err, &again) || c.cfg.Patience < 0 {
			return status, err
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		wait := pause
		if again.answer != nil && again.answer.RetryAfter > 0 {
			// Those who were refused together must not come back together.
			wait = again.answer.RetryAfter + rand.N(again.answer.RetryAfter/2)
			changed = nil
		}
		if c.cfg.OnRetry != nil {
			c.cfg.OnRetry(err)
		}
		select {
		case <-time.After(wait):
		case <-changed:
		case <-until:
			return 0, err
		case <-ctx.Done():
			return 0, fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		pause = min(2*pause, maxPause)
	}
}

// round asks each node once, until one answers.
func (c *Client) round(ctx context.Context, targets []target, r request) (int, error) {
	failed := &roundError{targets: targets}
	for _, t := range targets {
		status, err := c.try(ctx, t.address, r)
		if err == nil {
			if t.index >= 0 {
				c.preferred.Store(int64(t.index))
			}
			return status, nil
		}
		var answer *Error
		switch {
		case !errors.As(err, &answer):
			failed.last = err
		case answer.Status == http.StatusTooManyRequests:
			// The others would only ask the same leader.
			return status, &roundError{targets: targets, answer: answer}
		case answer.Status != http.StatusServiceUnavailable:
			return status, err
		default:
			failed.answer = answer
		}
		if ctx.Err() != nil {
			break
		}
	}
	return 0, failed
}

// try asks one node once. An answer that is a problem is an *Error.
func (c *Client) try(ctx context.Context, address string, r request) (int, error) {
	where := address + r.path
	if len(r.query) > 0 {
		where += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, where, bytes.NewReader(r.body))
	if err != nil {
		return 0, fmt.Errorf("ask %s: %w", address, err)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	client := c.http
	if r.stream {
		client = c.streams
	}
	resp, err := client.Do(req)
	if err != nil {
		// The outer url.Error repeats the method and the URL.
		if outer, ok := errors.AsType[*url.Error](err); ok {
			err = outer.Err
		}
		return 0, err
	}
	bad := resp.StatusCode >= http.StatusBadRequest
	if bad || !r.stream {
		defer resp.Body.Close()
	}
	if bad {
		return resp.StatusCode, problemOf(address, r.path, resp)
	}
	return resp.StatusCode, r.take(address, resp)
}

// problemOf reads an answer that is a problem.
func problemOf(address, path string, resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", address, err)
	}
	problem := &Error{Status: resp.StatusCode, Address: address}
	// What is not a problem document comes from something else at this address.
	if json.Unmarshal(body, problem) != nil || problem.Code == "" {
		problem.Detail = fmt.Sprintf("%s%s answered with status %s; is it a coordd?", address, path, resp.Status)
	}
	problem.Status = resp.StatusCode
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && problem.Code == "busy" {
		problem.RetryAfter = min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	return problem
}

// decode reads an answer of JSON into out.
func decode(address, path string, resp *http.Response, out any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", address, err)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return notCoordd(address, path, resp)
	}
	return nil
}

// notCoordd says that an answer is none of coordd's.
func notCoordd(address, path string, resp *http.Response) error {
	return &Error{
		Status: resp.StatusCode, Address: address,
		Detail: fmt.Sprintf("%s%s did not answer as expected; is it a coordd?", address, path),
	}
}
