package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// HeaderForwarded marks a request that a standby passed on, with the standby's
// ID. It is never passed on again.
const HeaderForwarded = "Coordd-Forwarded-By"

// HeaderServedBy names the node that answered.
const HeaderServedBy = "Coordd-Served-By"

// forwarder sends requests to the leader.
type forwarder struct {
	id        string
	timeout   time.Duration
	log       hclog.Logger
	transport *http.Transport
}

func newForwarder(id string, timeout time.Duration, log hclog.Logger) *forwarder {
	const dialTimeout = 2 * time.Second
	return &forwarder{id: id, timeout: timeout, log: log, transport: &http.Transport{
		// No proxy of the environment: the leader is a neighbour.
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}
}

// close ends idle connections.
func (f *forwarder) close() { f.transport.CloseIdleConnections() }

// send passes the request on to the leader at address and copies its answer.
func (f *forwarder) send(w http.ResponseWriter, r *http.Request, target *url.URL) {
	ctx, cancel := context.WithTimeout(r.Context(), f.timeout)
	defer cancel()
	proxy := &httputil.ReverseProxy{
		Transport: f.transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.SetXForwarded()
			p.Out.Header.Set(HeaderForwarded, f.id)
			// This node has checked where the request comes from. To the leader,
			// which sees another Host, it would look like another origin's.
			for _, name := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Cookie"} {
				p.Out.Header.Del(name)
			}
		},
		ErrorLog: f.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			f.failed(target, err).write(w)
		},
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
}

// failed says why forwarding gave no answer.
func (f *forwarder) failed(target *url.URL, err error) *ProblemError {
	if tooLarge(err) {
		return newProblem(http.StatusRequestEntityTooLarge, CodeTooLarge, "the body exceeds the limit")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return newProblem(http.StatusServiceUnavailable, CodeTimeout,
			fmt.Sprintf("the leader at %s did not answer within %s", target.Host, f.timeout))
	}
	f.log.Debug("forwarding failed", "leader", target.Host, "error", err)
	return newProblem(http.StatusServiceUnavailable, CodeNoLeader,
		fmt.Sprintf("the leader at %s does not answer", target.Host))
}

// onLeader is the middleware of operations that only the leader's dispatcher
// can answer.
func (s *Server) onLeader(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	_, err := s.cfg.Dispatchers.Dispatcher()
	if err == nil {
		w.Header().Set(HeaderServedBy, s.cfg.ID)
		next(ctx)
		return
	}
	target, problem := s.leaderURL()
	switch {
	case problem != nil:
		problem.write(w)
	case r.Header.Get(HeaderForwarded) != "":
		newProblem(http.StatusServiceUnavailable, CodeNoLeader, fmt.Sprintf(
			"%s passed this request on, and this node does not lead", r.Header.Get(HeaderForwarded))).write(w)
	default:
		s.forward.send(w, r, target)
	}
}

// leaderURL returns where another node leads, or the reason why none is known.
func (s *Server) leaderURL() (*url.URL, *ProblemError) {
	if info, leads, _ := s.cfg.Node.Leading(leader.Dispatcher); leads {
		return nil, newProblem(http.StatusServiceUnavailable, CodeNoLeader,
			fmt.Sprintf("this node leads and is not ready yet (%s)", info.Phase))
	}
	o, _ := s.cfg.Followers[leader.Dispatcher].Latest()
	if o.Status != retrieval.StatusKnown {
		return nil, s.noLeader(leader.Dispatcher, o.Status, o.Info)
	}
	if o.Info.ID == s.cfg.ID {
		return nil, newProblem(http.StatusServiceUnavailable, CodeNoLeader,
			"this node has just stopped leading, and no other leads yet")
	}
	target, err := url.Parse(o.Info.Address)
	if err != nil || target.Host == "" {
		return nil, newProblem(http.StatusServiceUnavailable, CodeNoLeader,
			fmt.Sprintf("leader %s published the address %q, which is no URL", o.Info.ID, o.Info.Address))
	}
	return target, nil
}
