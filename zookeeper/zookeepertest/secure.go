package zookeepertest

import (
	"fmt"
	"strings"
)

// Secure is a second port, on which a server alone speaks TLS.
type Secure struct {
	// KeyStore is a PEM file with the server's certificate and key, TrustStore one
	// with the certificates that clients' must be signed by.
	KeyStore, TrustStore string
	// ClientAuth is "none", "want" or "need": whether clients must show one.
	ClientAuth string
}

// WithSecure opens a second port for TLS, see Server.SecureAddr. It does nothing to
// ensembles.
func WithSecure(s Secure) Option { return func(c *config) { c.secure = &s } }

// zooCfg returns the lines of zoo.cfg that open the port.
func (s Secure) zooCfg(port int) string {
	return strings.Join([]string{
		"serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
		fmt.Sprintf("secureClientPort=%d", port), "secureClientPortAddress=127.0.0.1",
		"ssl.keyStore.location=" + s.KeyStore, "ssl.keyStore.type=PEM",
		"ssl.trustStore.location=" + s.TrustStore, "ssl.trustStore.type=PEM",
		"ssl.clientAuth=" + s.ClientAuth,
	}, "\n") + "\n"
}

// SecureAddr returns the address of the port that WithSecure opened.
func (s *Server) SecureAddr() string {
	s.tb.Helper()
	if s.cfg.secure == nil || s.tls == 0 {
		s.tb.Fatalf("ZooKeeper on %s speaks no TLS: start it alone and WithSecure", s.Addr())
	}
	return loopback(s.tls)
}
