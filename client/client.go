package client

import (
	"fmt"
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
	// maxRetryAfter bounds what a busy leader may ask for.
	maxRetryAfter = time.Minute
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 20
)

// Config says whom a Client asks.
type Config struct {
	// Addresses are the base URLs of nodes, asked in this order, beginning with the
	// one that answered last; "host:port" means http. None means DefaultAddress or,
	// with a Retrieval, nobody but the leader.
	Addresses []string
	// Retrieval, if not nil, tells where the leader is, which is asked first.
	Retrieval Retrieval
	// Patience is how long a call goes on asking while nodes do not answer, know no
	// leader, or the leader is busy, which says itself when to come again. Zero means
	// DefaultPatience; a negative one asks each node once.
	Patience time.Duration
	// Timeout bounds each request; of an output that is read, only until it begins.
	// Zero means DefaultTimeout.
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
	// streams has no limit on how long an answer may go on.
	streams *http.Client
	// preferred is the one of addresses that answered last, asked first.
	preferred atomic.Int64
}

// New returns a Client that has asked nothing yet. Its error names the address
// that is not one.
func New(cfg Config) (*Client, error) {
	if len(cfg.Addresses) == 0 && cfg.Retrieval == nil {
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

		TLSHandshakeTimeout:   cfg.Timeout,
		ResponseHeaderTimeout: cfg.Timeout,
	}
	c.http = &http.Client{Transport: c.transport, Timeout: cfg.Timeout}
	c.streams = &http.Client{Transport: c.transport}
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
