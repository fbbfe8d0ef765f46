// Package web is the HTTP side of a coordinator: health answers for load
// balancers, the API under /v1, and metrics.
//
// Two kinds of paths:
//
//	/leader /standby /livez /readyz   "am I?": 200 or 503, GET, HEAD and OPTIONS
//	/metrics                          Prometheus
//	/v1/leader /v1/leaders/{component}   who leads (with long poll)
//	/v1/contenders                    who contends for leadership, in order
//	/v1/jobs...                       jobs, and what their subtasks write
//	/v1/workers...                    workers
//	/v1/recovery...                   what is to be put in order
//	/v1/version /v1/openapi.json      what this node is and speaks
//
// # Who answers
//
// Every node answers everything. Of leadership and of itself it knows by itself; what
// only the leader knows it asks the leader's components for, through Gateways, and
// workers for what they write and count. No request is passed on over HTTP.
//
//	request ──▶ Gateways know a leader that is connected? ──no──▶ 503 no_leader, at
//	                 │ yes                                   once; unconfirmed or
//	                 ▼                                       disconnected when this
//	            its dispatcher or resource manager           node cannot know
//	                 │                          │
//	                 ▼                          │ does not lead any more
//	              answer                        └──▶ 503 no_leader
//
// Metrics are kept for a second, so that many pages ask a component once. An output is
// read from the worker that the job's snapshot names, which may outlive the leader; how
// many are read at once is limited.
//
// Every error is application/problem+json (RFC 9457) with a stable "code". An
// answer of 503 always carries Retry-After: the request had no effect, or is a
// submission, which is idempotent for one ID.
//
// # What stands before every route
//
// A list of allowed Host names (against DNS rebinding), then
// http.CrossOriginProtection, then limits on headers and bodies and bounded
// time for reading, for calls of components and for writing: jobs are commands, so a
// web page that a developer visits must not be able to submit one.
package web
