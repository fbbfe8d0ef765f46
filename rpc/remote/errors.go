package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/coordd/coordd/rpc"
)

// Kind is an error that callers decide upon, on both sides of the wire.
type Kind struct {
	// Code stands for it on the wire. It is never given to another error.
	Code string
	// Err is compared with errors.Is. Nil: Encode and Decode find and make the error.
	Err error
	// Encode returns what has to be known of an error to make it again, and whether err
	// is, or wraps, one of this kind.
	Encode func(err error) (value string, ok bool)
	// Decode makes it again. When it returns nil, only the text is left of the error.
	Decode func(value string) error
}

// domain tells our details of a status from others'.
const domain = "coordd"

// maxText is how much of an error's text is sent, in bytes. It goes in a header.
const maxText = 4 << 10

// kinds is the table of a service.
type kinds []Kind

// newKinds returns the table with the errors of package rpc, which every service
// knows. Those that say something about the connection itself are not among them: a
// callee may have met them elsewhere.
func newKinds(more []Kind) (kinds, error) {
	all := append(kinds{
		{Code: "not_started", Err: rpc.ErrNotStarted},
		{Code: "stopped", Err: rpc.ErrStopped},
		{Code: "fencing_token", Err: rpc.ErrFencingToken},
		{Code: "rejected", Err: rpc.ErrRejected},
		{Code: "no_endpoint", Err: rpc.ErrNoEndpoint},
		{Code: "protocol", Err: rpc.ErrProtocol},
		{Code: "message_too_large", Err: rpc.ErrTooLarge},
		{Code: "no_target", Err: rpc.ErrNoTarget},
	}, more...)
	seen := make(map[string]bool)
	for _, k := range all {
		if k.Code == "" || seen[k.Code] {
			return nil, fmt.Errorf("rpc service: error code %q is empty or given twice", k.Code)
		}
		if (k.Err == nil) != (k.Encode != nil && k.Decode != nil) {
			return nil, fmt.Errorf("rpc service: error code %s needs Err, or Encode and Decode", k.Code)
		}
		seen[k.Code] = true
	}
	return all, nil
}

// status returns the form of an error on the wire.
func (t kinds) status(ctx context.Context, err error) error {
	if st, ok := err.(interface{ GRPCStatus() *status.Status }); ok { // gRPC's own; not one that an implementation wraps
		return st.GRPCStatus().Err()
	}
	code := codes.Unknown
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case ctx.Err() != nil:
		code = codes.Canceled
	}
	text := err.Error()
	if len(text) > maxText {
		text = text[:maxText] + "..."
	}
	st := status.New(code, strings.ToValidUTF8(text, "\uFFFD"))
	for _, k := range t {
		value, ok := k.encode(err)
		if !ok {
			continue
		}
		detail := &errdetails.ErrorInfo{Domain: domain, Reason: k.Code}
		if value != "" {
			detail.Metadata = map[string]string{"value": value}
		}
		if more, err := st.WithDetails(detail); err == nil { // else the kind is lost, the text is not
			st = more
		}
	}
	return st.Err()
}

func (k Kind) encode(err error) (string, bool) {
	if k.Encode != nil {
		return k.Encode(err)
	}
	return "", errors.Is(err, k.Err)
}

// of returns the errors that a status stands for.
func (t kinds) of(st *status.Status) []error {
	var found []error
	for _, detail := range st.Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != domain {
			continue
		}
		i := slices.IndexFunc(t, func(k Kind) bool { return k.Code == info.GetReason() })
		if i < 0 { // of a newer release
			continue
		}
		err := t[i].Err
		if t[i].Decode != nil {
			err = t[i].Decode(info.GetMetadata()["value"])
		}
		if err != nil {
			found = append(found, err)
		}
	}
	return found
}

// Error is a call that failed on the other side, or on the way. What it wraps are
// context errors, those of package rpc, and those of Config.Errors.
type Error struct {
	// Method is the called one's name, without the gateway's.
	Method string
	Target rpc.Target

	text  string
	kinds []error
}

// Error names the method and the target, and has the other side's text.
func (e *Error) Error() string {
	return fmt.Sprintf("call %s of %s at %s: %s", e.Method, e.Target.Endpoint, e.Target.Address, e.text)
}

// Unwrap returns the errors that it is.
func (e *Error) Unwrap() []error { return e.kinds }
