package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// The defaults of Config.
const (
	DefaultAddress  = "http://127.0.0.1:7420"
	DefaultPatience = 30 * time.Second
	DefaultTimeout  = 15 * time.Second
)

const (
	firstPause  = 100 * time.Millisecond
	maxPause    = time.Second
	dialTimeout = 2 * time.Second
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 20
)

// Config says whom a Client asks.
type Config struct {
	// Addresses are the base URLs of nodes, asked in this order, beginning with the
	// one that answered last; "host:port" means
	// http. None means DefaultAddress.
	Addresses []string
	// Patience is how long a call goes on asking while nodes do not answer or know
	// no leader. Zero means DefaultPatience; a negative one asks each node once.
	Patience time.Duration
	// Timeout bounds each request. Zero means DefaultTimeout.
	Timeout time.Duration
	// OnRetry is told, once a round, why another is needed. It may be nil.
	OnRetry func(reason error)
}

// Client asks a cluster. Its methods may be called from any goroutine. Close it
// after use.
type Client struct {
	cfg       Config
	addresses []string
	transport *http.Transport
	http      *http.Client
	// preferred is the node that answered last, asked first.
	preferred atomic.Int64
}

// New returns a Client that has asked nothing yet. Its error names the address
// that is not one.
func New(cfg Config) (*Client, error) {
	if len(cfg.Addresses) == 0 {
		cfg.Addresses = []string{DefaultAddress}
	}
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	c := &Client{cfg: cfg}
	for _, a := range cfg.Addresses {
		base, err := baseURL(a)
		if err != nil {
			return nil, err
		}
		c.addresses = append(c.addresses, base)
	}
	c.transport = &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
	}
	c.http = &http.Client{Transport: c.transport, Timeout: cfg.Timeout}
	return c, nil
}

// baseURL reads an address as the base URL of a node.
func baseURL(address string) (string, error) {
	text := strings.TrimSpace(address)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("address %q is no URL like %s", address, DefaultAddress)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// Close ends idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// request is one question, asked as often as it takes.
type request struct {
	method, path string
	query        url.Values
	contentType  string
	body         []byte
}

// ask goes round the nodes until one answers or patience ends, and decodes the
// answer into out. It returns the HTTP status of the answer.
func (c *Client) ask(ctx context.Context, r request, out any) (int, error) {
	var until <-chan time.Time
	if c.cfg.Patience > 0 {
		timer := time.NewTimer(c.cfg.Patience)
		defer timer.Stop()
		until = timer.C
	}
	pause := firstPause
	for {
		status, err := c.round(ctx, r, out)
		var again *roundError
		if err == nil || !errors.As(err, &again) || c.cfg.Patience < 0 {
			return status, err
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		if c.cfg.OnRetry != nil {
			c.cfg.OnRetry(err)
		}
		select {
		case <-time.After(pause):
		case <-until:
			return 0, err
		case <-ctx.Done():
			return 0, fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		pause = min(2*pause, maxPause)
	}
}

// round asks each node once, until one answers, the one that answered last first.
func (c *Client) round(ctx context.Context, r request, out any) (int, error) {
	failed := &roundError{addresses: c.addresses}
	first := int(c.preferred.Load())
	for i := range c.addresses {
		node := (first + i) % len(c.addresses)
		status, err := c.send(ctx, c.addresses[node], r, out)
		if err == nil {
			c.preferred.Store(int64(node))
			return status, nil
		}
		var answer *Error
		switch {
		case !errors.As(err, &answer):
			failed.last = err
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

// send asks one node once. An answer that is a problem is an *Error.
func (c *Client) send(ctx context.Context, address string, r request, out any) (int, error) {
	target := address + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return 0, fmt.Errorf("ask %s: %w", address, err)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		// The outer url.Error repeats the method and the URL.
		if outer, ok := errors.AsType[*url.Error](err); ok {
			err = outer.Err
		}
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, fmt.Errorf("read the answer of %s: %w", address, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		problem := &Error{Status: resp.StatusCode, Address: address}
		// What is not a problem document comes from something else at this address.
		if json.Unmarshal(body, problem) != nil || problem.Code == "" {
			problem.Detail = fmt.Sprintf("%s%s answered with status %s; is it a coordd?", address, r.path, resp.Status)
		}
		problem.Status = resp.StatusCode
		return resp.StatusCode, problem
	}
	if err := json.Unmarshal(body, out); err != nil {
		return 0, &Error{
			Status: resp.StatusCode, Address: address,
			Detail: fmt.Sprintf("%s%s did not answer with JSON; is it a coordd?", address, r.path),
		}
	}
	return resp.StatusCode, nil
}
