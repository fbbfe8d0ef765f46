// Package remote hosts endpoints of package rpc for other processes, and connects to
// theirs, over gRPC.
//
// A gateway is a Go interface. Gateway describes how it goes over the wire: the
// description of a gRPC service that was generated from protobuf, and stubs on both of
// its sides. Host puts an implementation behind an endpoint's name; Connect returns the
// interface again, elsewhere.
//
//	caller ─G─▶ stub ──▶ wire ──HTTP/2──▶ gRPC server ──▶ find, admit ──▶ stub ─G─▶ implementation
//	                └──▶ direct ─────────────────────────────▲
//
// # What a call carries
//
// Each has the header coordd-to: epoch, session ID, and the endpoint's name. The other
// side looks up the endpoint and has it admit the token, for calls within the process
// as well. Nothing else is added to what gRPC sends, so any gRPC client can call.
//
// A connection begins with a handshake, a call of its own with the version of the
// protocol and the type of the gateway besides. gRPC makes a lost connection again by
// itself, without another handshake: whoever listens there then, the token of a fenced
// endpoint tells whether it is still the same; who calls one that is not fenced looks
// at what it answers.
//
// # Errors
//
// An error of an implementation travels as its text and the codes of the kinds that it
// is (Config.Errors), as google.rpc.ErrorInfo in the details of the status. On the
// caller's side it is an *Error that wraps the same sentinels. "Refused" and "no answer"
// are different: rpc.ErrRefused says that nothing listens there, so that the process is
// gone; context.DeadlineExceeded says nothing about it.
//
// # Who waits for what
//
// Run of a Service waits for gRPC's goroutines and for the calls that it serves; it
// closes the connections that were not hung up. A call runs on its caller's goroutine,
// or on gRPC's for it; so an implementation is called by many at a time.
package remote
