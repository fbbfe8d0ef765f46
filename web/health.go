package web

import (
	"encoding/json"
	"net/http"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// healthAnswer is the body of the unversioned paths.
type healthAnswer struct {
	OK     bool         `json:"ok"`
	Detail string       `json:"detail,omitempty"`
	ID     string       `json:"id"`
	Phase  leader.Phase `json:"phase,omitempty"`
	Epoch  leader.Epoch `json:"epoch,omitempty"`
}

func (s *Server) healthRoutes(mux *http.ServeMux) {
	for path, check := range map[string]func() healthAnswer{
		"/leader":  s.isLeader,
		"/standby": s.isStandby,
		"/livez":   s.isLive,
		"/readyz":  s.isReady,
	} {
		// GET covers HEAD.
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) {
				s.writeHealth(w, r, check())
			})
		}
	}
}

// isLeader: this node leads and serves.
func (s *Server) isLeader() healthAnswer {
	info, leads, _ := s.cfg.Node.Leading(leader.Dispatcher)
	if !leads {
		return s.answer(false, "this node does not lead")
	}
	a := s.answer(info.Phase == leader.PhaseReady, "")
	a.Phase, a.Epoch = info.Phase, info.Epoch
	if !a.OK {
		a.Detail = "this node leads and is not ready yet"
	}
	return a
}

// isStandby: this node could take over.
func (s *Server) isStandby() healthAnswer {
	if _, leads, _ := s.cfg.Node.Leading(leader.Dispatcher); leads {
		return s.answer(false, "this node leads")
	}
	health := s.cfg.Backend.Health()
	return s.answer(health.Connected, health.Detail)
}

// isLive: this process answers.
func (s *Server) isLive() healthAnswer { return s.answer(true, "") }

// isReady: this node can serve requests, which it has the leader answer. It stays
// ready while nobody leads, or a hand-over would empty the whole load balancer.
func (s *Server) isReady() healthAnswer {
	health := s.cfg.Backend.Health()
	if !health.Connected {
		return s.answer(false, health.Detail)
	}
	o, _ := s.cfg.Followers[leader.Dispatcher].Latest()
	_, leads, _ := s.cfg.Node.Leading(leader.Dispatcher)
	if o.Status != retrieval.StatusNone && o.Status != retrieval.StatusKnown && !leads {
		return s.answer(false, "this node is still finding out who leads")
	}
	return s.answer(true, "")
}

func (s *Server) answer(ok bool, detail string) healthAnswer {
	return healthAnswer{OK: ok, Detail: detail, ID: s.cfg.ID}
}

func (s *Server) writeHealth(w http.ResponseWriter, r *http.Request, a healthAnswer) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	status := http.StatusOK
	if !a.OK {
		status = http.StatusServiceUnavailable
	}
	if r.Method == http.MethodOptions {
		w.Header().Del("Content-Type")
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.Header().Set("Content-Length", "0")
	}
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_ = json.NewEncoder(w).Encode(a) //nolint:errchkjson // it always encodes; the client may be gone.
	}
}
