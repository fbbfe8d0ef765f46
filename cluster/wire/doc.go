// Package wire carries the gateways of package gateway over package rpc/remote: for each
// a remote.Gateway, which turns calls into protobuf messages (package gatewaypb) and
// back, and the table of errors that callers decide upon. Components do not import it;
// whoever wires them does:
//
//	service, err := remote.New(remote.Config{Gateways: wire.Gateways(), Errors: wire.Errors(), ...})
//	leave, err := remote.Host(service, wire.JobMaster(), endpoint, master)
//	connect := remote.Dial(service, wire.JobMaster()) // an rpc.Dial[gateway.JobMaster]
//
// Nil and empty lists and maps become the same on the way. Text that a command may have
// written need not be UTF-8; of other text, what is not becomes U+FFFD.
package wire
