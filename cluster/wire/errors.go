package wire

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/gateway/gatewaypb"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc/remote"
	"github.com/coordd/coordd/txn"
)

// Errors returns what of the gateways' errors callers decide upon, for a remote.Config,
// besides those of package rpc.
func Errors() []remote.Kind {
	return []remote.Kind{
		{Code: "no_job", Err: gateway.ErrNoJob},
		{Code: "conflict", Err: gateway.ErrConflict},
		{Code: "job_too_large", Err: gateway.ErrTooLarge},
		{Code: "not_leader", Err: gateway.ErrNotLeader},
		{Code: "not_quarantined", Err: gateway.ErrNotQuarantined},
		{Code: "busy", Err: gateway.ErrBusy},
		{Code: "no_worker", Err: gateway.ErrNoWorker},
		{Code: "not_leader_yet", Err: gateway.ErrNotLeaderYet},
		{Code: "no_slot", Err: gateway.ErrNoSlot},
		{Code: "no_log", Err: gateway.ErrNoLog},
		{Code: "not_registered", Err: gateway.ErrNotRegistered},
		{Code: "fenced", Err: leader.ErrFenced},
		{Code: "unknown_outcome", Err: txn.ErrUnknownOutcome},
		{Code: "store_full", Err: txn.ErrFull},
		{Code: "invalid_job", Encode: encodeInvalid, Decode: decodeInvalid},
	}
}

// invalidJob is the JSON of a *job.InvalidError.
type invalidJob struct {
	Source   string        `json:"source,omitempty"`
	Problems []job.Problem `json:"problems"`
	Omitted  int           `json:"omitted,omitempty"`
}

func encodeInvalid(err error) (string, bool) {
	invalid, ok := errors.AsType[*job.InvalidError](err)
	if !ok {
		return "", false
	}
	data, err := json.Marshal(invalidJob(*invalid))
	return string(data), err == nil
}

func decodeInvalid(value string) error {
	var p invalidJob
	if err := json.Unmarshal([]byte(value), &p); err != nil {
		return fmt.Errorf("decode the job's problems: %w", err)
	}
	invalid := job.InvalidError(p)
	return &invalid
}

// refusalKinds are the errors that a gateway.Refusal may be.
func refusalKinds() []remote.Kind {
	return append(Errors(),
		remote.Kind{Code: "stopped", Err: gateway.ErrStopped},
		remote.Kind{Code: "fencing_token", Err: gateway.ErrFencingToken},
	)
}

// refusalError is the error of a refusal that was sent.
type refusalError struct {
	text  string
	kinds []error
}

func (e *refusalError) Error() string   { return e.text }
func (e *refusalError) Unwrap() []error { return e.kinds }

func toRefusal(r gateway.Refusal) *gatewaypb.Refusal {
	p := &gatewaypb.Refusal{Attempt: toAttempt(r.Attempt)}
	if r.Err == nil {
		return p
	}
	p.Text = text(r.Err.Error())
	for _, k := range refusalKinds() {
		if k.Err != nil && errors.Is(r.Err, k.Err) {
			p.Codes = append(p.Codes, k.Code)
		}
	}
	return p
}

func fromRefusal(p *gatewaypb.Refusal) gateway.Refusal {
	e := &refusalError{text: p.GetText()}
	for _, k := range refusalKinds() {
		for _, code := range p.GetCodes() {
			if k.Code == code && k.Err != nil {
				e.kinds = append(e.kinds, k.Err)
			}
		}
	}
	return gateway.Refusal{Attempt: fromAttempt(p.GetAttempt()), Err: e}
}
