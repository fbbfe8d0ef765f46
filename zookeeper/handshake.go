package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// opAuth is the operation that presents credentials, and authXid what requests for
// it and answers to it carry.
const (
	opAuth  = 100
	authXid = 0xfffffffc // -4
)

// codeAuthFailed is a server's answer to credentials that it refuses.
const codeAuthFailed = -115

// handshake reads the rest of the connect response, and presents the session's
// identities before go-zookeeper learns that it is connected. So no request goes
// out without them, and go-zookeeper's own way of sending them again, which can
// lock a Conn up for ever when it fails, is never taken.
func (c *frameConn) handshake(head []byte, size int) error {
	frame := append(head, make([]byte, size)...)
	if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
		return err
	}
	timeout := time.Duration(int32(binary.BigEndian.Uint32(frame[8:]))) * time.Millisecond //nolint:gosec // as it was sent
	id := int64(binary.BigEndian.Uint64(frame[12:]))                                       //nolint:gosec // as it was sent
	switch password := binary.BigEndian.Uint32(frame[20:]); {
	case int64(password) > int64(size-minConnectFrame): // go-zookeeper would allocate it
		return fmt.Errorf("server %s gave a password of %d bytes in a connect response of %d", c.RemoteAddr(), password, size)
	case timeout >= minTimeout:
		for _, a := range c.auth {
			if err := c.present(a); err != nil {
				return err // go-zookeeper does not know of the session yet: neither must we
			}
		}
		if err := c.connected(timeout, id); err != nil {
			return err
		}
		c.limit = readLimit(timeout)
		c.pulse.connect(c.began)
		c.rewatchBy, c.rewatched = c.rewatches.handshake(), make(chan struct{})
	case id != 0: // both are zero when the server says that the session expired
		return fmt.Errorf("server %s gave session %#x the time-out %v", c.RemoteAddr(), id, timeout)
	}
	c.pending = frame
	return nil
}

// present sends one identity and waits for the answer, which nothing can overtake:
// no other request was made on this connection.
func (c *frameConn) present(a Auth) error {
	if _, err := c.Conn.Write(a.request()); err != nil {
		return fmt.Errorf("send credentials %v: %w", a, err)
	}
	answer := make([]byte, 4+minReplyFrame)
	if _, err := io.ReadFull(c.Conn, answer); err != nil {
		return fmt.Errorf("credentials %v were not answered: %w", a, err)
	}
	xid, code := binary.BigEndian.Uint32(answer[4:]), int32(binary.BigEndian.Uint32(answer[16:])) //nolint:gosec // as it was sent
	switch {
	case binary.BigEndian.Uint32(answer) != minReplyFrame || xid != authXid:
		return fmt.Errorf("server %s answered credentials with something else", c.RemoteAddr())
	case code == codeAuthFailed:
		return fmt.Errorf("%w: server %s refuses credentials %v; does it know the scheme?", ErrNoAuth, c.RemoteAddr(), a)
	case code != 0:
		return fmt.Errorf("server %s answered credentials %v with error %d", c.RemoteAddr(), a, code)
	}
	return nil
}

// request encodes the request that presents the identity.
func (a Auth) request() []byte {
	number := func(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) } //nolint:gosec // small
	body := binary.BigEndian.AppendUint32(nil, authXid)
	body = number(body, opAuth)
	body = number(body, 0) // a type that is not used
	body = append(number(body, len(a.Scheme)), a.Scheme...)
	body = append(number(body, len(a.Secret)), a.Secret...)
	return append(number(nil, len(body)), body...)
}

// unconfirmed says why a server that was connected to confirmed no session.
func (s *Session) unconfirmed(addr string, err error) error {
	t := s.cfg.Security.TLS
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("server %s does not answer: %w", addr, err)
	case t != nil && isRefusal(err):
		return fmt.Errorf("TLS with server %s: %w%s", addr, err, t.advice(err))
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET):
		return err
	case t != nil:
		return fmt.Errorf("server %s closed the connection: has it a quorum, and does it trust this client's certificate? (%w)", addr, err)
	default:
		return fmt.Errorf("server %s closed the connection: has it a quorum, and is its port one without TLS? (%w)", addr, err)
	}
}
