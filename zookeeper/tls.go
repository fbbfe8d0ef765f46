package zookeeper

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// TLS names the files, in PEM, with which a client speaks TLS. They are read at
// every connection, so a certificate that was replaced is used from the next one
// on. While a new file cannot be used, the last good ones are; a warning says so.
type TLS struct {
	// CA holds the certificates that a server's must be signed by. Empty means
	// those of the system.
	CA string
	// Cert and Key are the client's, for servers that ask for a certificate. Empty
	// means none; one needs the other.
	Cert, Key string
	// ServerName is what the servers' certificates must be for. Empty means the
	// host under which each server is configured.
	ServerName string
}

// Check reads the files and returns an error that names the one that cannot be
// used, and why. Connecting reads them again.
func (t TLS) Check() error {
	_, err := t.load()
	return err
}

// load reads the files.
func (t TLS) load() (*tls.Config, error) {
	cfg := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("certificates to trust: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificates to trust: %s holds none; it must be PEM (BEGIN CERTIFICATE)", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, t.unpaired()
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("client certificate %s with key %s: %w", t.Cert, t.Key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

func (t TLS) unpaired() error {
	return fmt.Errorf("zookeeper: TLS certificate %q and key %q: one needs the other; give both files", t.Cert, t.Key)
}

// keyring keeps the last good files of one client.
type keyring struct {
	mu      sync.Mutex
	good    *tls.Config
	problem string // with the newest files, already logged
}

// current returns what to connect with now.
func (k *keyring) current(t TLS, log hclog.Logger) (*tls.Config, error) {
	cfg, err := t.load()
	k.mu.Lock()
	good, logged := k.good, err != nil && err.Error() == k.problem
	switch {
	case err == nil:
		k.good, k.problem = cfg, ""
	case good != nil:
		k.problem = err.Error()
	}
	k.mu.Unlock()
	if err == nil || good == nil {
		return cfg, err
	}
	if !logged {
		log.Warn("new TLS files cannot be used, going on with the former ones; put a whole set in place", "error", err)
	}
	return good, nil
}

// tlsConn closes the socket at once. A tls.Conn would first say goodbye, which a
// frozen server can hold up; ZooKeeper's own protocol says when a session is over.
type tlsConn struct {
	*tls.Conn
	raw net.Conn
}

// Close closes the socket.
func (c *tlsConn) Close() error { return c.raw.Close() }

// secure makes TLS of a connection to addr, or closes it. Its errors say what to do.
func (k *keyring) secure(ctx context.Context, raw net.Conn, addr string, t TLS, log hclog.Logger) (net.Conn, error) {
	cfg, err := k.current(t, log)
	if err == nil && cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName, _, err = net.SplitHostPort(addr)
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS with server %s: %w%s", addr, err, t.advice(err))
	}
	return &tlsConn{Conn: conn, raw: raw}, nil
}

// advice says what to do about a failed handshake.
func (t TLS) advice(err error) string {
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isName := errors.AsType[x509.HostnameError](err)
	switch {
	case isUnknown && t.CA == "":
		return "; name the file with the certificate of who signed the server's"
	case isUnknown:
		return fmt.Sprintf("; it is not signed by a certificate in %s", t.CA)
	case isName:
		return "; configure servers by the names in their certificates, or name the one to expect"
	case isRefusal(err) && t.Cert == "":
		return "; the server refuses this client, it may want a client certificate: give a certificate and its key"
	case isRefusal(err):
		return fmt.Sprintf("; the server refuses this client: does it trust who signed %s?", t.Cert)
	case errors.Is(err, io.EOF):
		return "; is that its secureClientPort, and does it want a client certificate?"
	case isNotTLS(err):
		return "; is that its secureClientPort?"
	default:
		return ""
	}
}

// isRefusal reports whether the server refused the client in TLS's own words.
func isRefusal(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

func isNotTLS(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok
}
