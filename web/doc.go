// Package web is the HTTP side of a coordinator: health answers for load
// balancers, the API under /v1, and metrics.
//
// Two kinds of paths:
//
//	/leader /standby /livez /readyz   "am I?": 200 or 503, GET, HEAD and OPTIONS
//	/metrics                          Prometheus
//	/v1/leader /v1/leaders/{component}   who leads (with long poll)
//	/v1/jobs...                       jobs; only the leader can answer
//	/v1/version /v1/openapi.json      what this node is and speaks
//
// # Who answers
//
// Each node answers for itself, except under /v1/jobs, which only the leader's
// dispatcher can answer. Such a request goes through one of these:
//
//	request ──▶ this node's dispatcher serves? ──yes──▶ answered here
//	                 │ no
//	                 ▼
//	            came over a hop already? ──yes──▶ 503 no_leader
//	                 │ no
//	                 ▼
//	            another node is known to lead? ──no──▶ 503 no_leader or disconnected
//	                 │ yes
//	                 ▼
//	            forwarded once, marked with HeaderForwarded
//
// Every error is application/problem+json (RFC 9457) with a stable "code". An
// answer of 503 always carries Retry-After: the request had no effect, or is a
// submission, which is idempotent for one ID.
//
// # What stands before every route
//
// A list of allowed Host names (against DNS rebinding), then
// http.CrossOriginProtection, then limits on headers and bodies and bounded
// time for reading, for forwarding and for writing: jobs are commands, so a web page
// that a developer visits must not be able to submit one.
package web
