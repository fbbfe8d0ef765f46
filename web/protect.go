package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
)

// bodySlack is how much more than a limit is read of a body to see that it exceeds it.
const bodySlack = 2

// allowed returns hosts as a set of lower-case names.
func allowed(hosts []string) map[string]bool {
	set := make(map[string]bool, len(hosts)+1)
	set["localhost"] = true
	for _, h := range hosts {
		set[strings.ToLower(strings.TrimSuffix(h, "."))] = true
	}
	return set
}

// protect puts the Host list, the protection from other origins, the limits and
// the uniform errors before the routes.
func (s *Server) protect(mux *http.ServeMux) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		newProblem(http.StatusForbidden, CodeCrossOrigin,
			"a browser sent this request from another site").write(w)
	}))
	inner := origin.Handler(s.routed(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				s.panicked(w, r, v)
			}
		}()
		if !s.hostAllowed(r) {
			newProblem(http.StatusMisdirectedRequest, CodeHost, fmt.Sprintf(
				"host %q is not served here; allow it with --allow-host", r.Host)).write(w)
			return
		}
		if r.ContentLength > s.cfg.MaxBody {
			s.bodyTooLarge().write(w)
			return
		}
		// An operation that reads a body answers one byte more with 413 itself; this
		// stops what nobody reads.
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxBody+bodySlack)
		inner.ServeHTTP(w, r)
	})
}

func (s *Server) bodyTooLarge() *ProblemError {
	return newProblem(http.StatusRequestEntityTooLarge, CodeTooLarge,
		fmt.Sprintf("the body exceeds %d bytes", s.cfg.MaxBody))
}

// hostAllowed decides about the Host header. HTTP/1.0 probes have none; browsers
// always send one.
func (s *Server) hostAllowed(r *http.Request) bool {
	if r.Host == "" {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if s.hosts[host] {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (s.cfg.AnyAddress || addr.Unmap().IsLoopback())
}

// routed answers what no route matches with a problem instead of net/http's text.
func (s *Server) routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &statusProbe{header: http.Header{}}
		handler.ServeHTTP(probe, r)
		if probe.status != http.StatusMethodNotAllowed {
			newProblem(http.StatusNotFound, CodeNotFound, fmt.Sprintf("nothing is served under %s", r.URL.Path)).write(w)
			return
		}
		w.Header().Set("Allow", probe.header.Get("Allow"))
		newProblem(http.StatusMethodNotAllowed, CodeMethod, fmt.Sprintf(
			"%s does not take %s; it takes %s", r.URL.Path, r.Method, probe.header.Get("Allow"))).write(w)
	})
}

// panicked answers a request whose handler panicked with v.
func (s *Server) panicked(w http.ResponseWriter, r *http.Request, v any) {
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http panics with this very value.
		panic(v)
	}
	s.log.Error("handler panicked", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	newProblem(http.StatusInternalServerError, CodeInternal, "internal error; the log of this node says more").write(w)
}

// statusProbe takes the status and headers of an answer and drops its body.
type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header         { return p.header }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }
