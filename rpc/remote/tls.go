package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// TLS names the files, in PEM, with which a service speaks TLS, when it is called and
// when it calls. They are read at every connection, so a certificate that was replaced
// is used from the next one on. While a new file cannot be used, the last good ones
// are; a warning says so.
type TLS struct {
	// CA holds the certificates that the other side's must be signed by. Empty means
	// those of the system.
	CA string
	// Cert and Key are the service's own. A service with a listener needs them; it
	// shows them as well when it calls.
	Cert, Key string
	// Mutual has who calls prove itself by a certificate signed by CA. It needs CA.
	Mutual bool
	// ServerName is what the certificates of those that are called must be for. Empty
	// means the host of the address.
	ServerName string
}

// Validate returns an error when the files do not go together. It reads none.
func (t TLS) Validate() error {
	switch {
	case (t.Cert == "") != (t.Key == ""):
		return fmt.Errorf("rpc: TLS certificate %q and key %q: one needs the other; give both files", t.Cert, t.Key)
	case t.Mutual && t.CA == "":
		return errors.New("rpc: mutual TLS needs a file with the certificates to trust (CA)")
	case t.Mutual && t.Cert == "":
		return errors.New("rpc: mutual TLS needs a certificate and its key")
	}
	return nil
}

// Check reads the files and returns an error that names the one that cannot be used,
// and why. Connecting reads them again.
func (t TLS) Check() error {
	_, err := t.load()
	return err
}

// load reads the files.
func (t TLS) load() (*tls.Config, error) {
	cfg := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS13}
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
	if t.Mutual {
		cfg.ClientCAs, cfg.ClientAuth = cfg.RootCAs, tls.RequireAndVerifyClientCert
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", t.Cert, t.Key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// keyring keeps the last good files of a service.
type keyring struct {
	files *TLS // nil: no TLS
	log   hclog.Logger

	mu      sync.Mutex
	good    *tls.Config
	problem string // with the newest files, already logged
}

// current returns what to connect with now.
func (k *keyring) current() (*tls.Config, error) {
	cfg, err := k.files.load()
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
		k.log.Warn("new TLS files cannot be used, going on with the former ones; put a whole set in place", "error", err)
	}
	return good, nil
}

// credentials returns what the server secures connections with.
func (k *keyring) credentials() credentials.TransportCredentials { return k.dialCredentials(nil) }

// dialCredentials returns what a link secures connections with.
func (k *keyring) dialCredentials(l *link) credentials.TransportCredentials {
	if k.files == nil {
		return insecure.NewCredentials()
	}
	return &secured{keys: k, link: l, TransportCredentials: credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13})}
}

// secured makes TLS of connections, with the files as they are then.
type secured struct {
	credentials.TransportCredentials
	keys *keyring
	link *link
}

// ClientHandshake secures a connection that the service made.
func (s *secured) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	cfg, err := s.keys.current()
	if err != nil {
		err = fmt.Errorf("TLS: %w", err)
		s.link.failed.Store(&err)
		return nil, nil, err
	}
	name := authority
	if cfg.ServerName != "" {
		name = cfg.ServerName
	}
	conn, info, err := credentials.NewTLS(cfg).ClientHandshake(ctx, name, raw)
	if err != nil {
		err = fmt.Errorf("TLS with %s: %w", authority, err)
		s.link.failed.Store(&err)
	}
	return conn, info, err
}

// ServerHandshake secures a connection that was made to the service.
func (s *secured) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	cfg, err := s.keys.current()
	if err != nil {
		return nil, nil, fmt.Errorf("TLS: %w", err)
	}
	return credentials.NewTLS(cfg).ServerHandshake(raw)
}

// Clone returns the same credentials: nothing in them is set later.
func (s *secured) Clone() credentials.TransportCredentials { return s }
