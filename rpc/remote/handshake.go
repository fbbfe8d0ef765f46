package remote

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

// Protocol is the version of the protocol: the header of calls, the handshake, how
// errors are told, and the messages of the gateways as far as they cannot be read by
// the version before. Both sides of a connection speak the same.
const Protocol = 1

// What a handshake consists of.
const (
	handshakeService = "coordd.rpc.v1.Handshake"
	handshakeMethod  = "Connect"
	handshakeCall    = "/" + handshakeService + "/" + handshakeMethod

	protocolKey = "coordd-protocol"
	gatewayKey  = "coordd-gateway"
	// toKey is the header that every call has: whom it is for.
	toKey = "coordd-to"
)

// destination is whom a call is for.
type destination struct {
	endpoint string
	term     leader.TermID
}

// header returns the value under toKey: the epoch, the session ID and the name, with
// semicolons between. It is one header, and always the same for a connection, so that
// HTTP/2 sends an index of it only.
func (d destination) header() string {
	return d.term.Epoch.String() + ";" + string(d.term.SessionID) + ";" + d.endpoint
}

// check returns an error when the destination cannot be a header.
func (d destination) check() error {
	printable := func(r rune) bool { return r < ' ' || r > '~' }
	if strings.ContainsFunc(d.endpoint, printable) || strings.ContainsFunc(string(d.term.SessionID), printable) {
		return fmt.Errorf("endpoint %q and session %q must be printable ASCII", d.endpoint, d.term.SessionID)
	}
	if strings.Contains(string(d.term.SessionID), ";") {
		return fmt.Errorf("session %q must not contain a semicolon", d.term.SessionID)
	}
	return nil
}

// parseDestination reads a header.
func parseDestination(header string) (destination, error) {
	epoch, rest, _ := strings.Cut(header, ";")
	session, endpoint, ok := strings.Cut(rest, ";")
	n, err := strconv.ParseInt(epoch, 10, 64)
	if !ok || err != nil {
		return destination{}, fmt.Errorf("header %s is %q: %w", toKey, header, rpc.ErrProtocol)
	}
	return destination{endpoint, leader.TermID{SessionID: leader.SessionID(session), Epoch: leader.Epoch(n)}}, nil
}

// destinationOf reads the header of a call.
func destinationOf(ctx context.Context) (destination, error) {
	values := metadata.ValueFromIncomingContext(ctx, toKey)
	if len(values) != 1 {
		return destination{}, fmt.Errorf("call has %d headers %s, want one: %w", len(values), toKey, rpc.ErrProtocol)
	}
	return parseDestination(values[0])
}

// greeting returns the headers of a handshake.
func (s *Service) greeting(gateway string, to destination) metadata.MD {
	return metadata.Pairs(toKey, to.header(), gatewayKey, gateway, protocolKey, strconv.Itoa(s.cfg.protocol))
}

// checkProtocol returns rpc.ErrProtocol unless the other side speaks the same version.
func (s *Service) checkProtocol(theirs []string) error {
	if len(theirs) == 1 && theirs[0] == strconv.Itoa(s.cfg.protocol) {
		return nil
	}
	return fmt.Errorf("version %q called, version %d answers: %w", strings.Join(theirs, ","), s.cfg.protocol, rpc.ErrProtocol)
}
