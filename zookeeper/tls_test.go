package zookeeper_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, name, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	return a
}

func (a *authority) issue(t *testing.T, name string, adapt func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	adapt(c)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	must(t, err)
	c, err = x509.ParseCertificate(der)
	must(t, err)
	return c, key
}

func write(t *testing.T, file string, parts ...[]byte) string {
	t.Helper()
	must(t, os.WriteFile(file, bytes.Join(parts, nil), 0o600))
	return file
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// file writes the authority's own certificate and returns the file.
func (a *authority) file(t *testing.T) string {
	t.Helper()
	return write(t, filepath.Join(a.dir, "ca.pem"), certPEM(a.cert))
}

// client writes a client's certificate and key over what is in the files.
func (a *authority) client(t *testing.T, cert, key string) {
	t.Helper()
	c, k := a.issue(t, "client", func(*x509.Certificate) {})
	write(t, cert, certPEM(c))
	write(t, key, keyPEM(t, k))
}

// startSecure starts a real server whose second port speaks TLS, with a certificate
// for 127.0.0.1 and zk.example, and returns that port's address.
func startSecure(t *testing.T, ca *authority, clientAuth string) (srv *zookeepertest.Server, secure string) {
	t.Helper()
	c, k := ca.issue(t, "server", func(c *x509.Certificate) {
		c.IPAddresses, c.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"zk.example"}
	})
	store := write(t, filepath.Join(ca.dir, "server.pem"), certPEM(c), keyPEM(t, k))
	srv = zookeepertest.StartServer(t, zookeepertest.WithSecure(zookeepertest.Secure{
		KeyStore: store, TrustStore: ca.file(t), ClientAuth: clientAuth,
	}))
	return srv, srv.SecureAddr()
}

func overTLS(addr string, files zookeeper.TLS) zookeeper.Config {
	return zookeeper.Config{
		Servers: []string{addr}, SessionTimeout: 4 * time.Second,
		Security: zookeeper.Security{TLS: &files},
	}
}

func TestTLSChecksTheServer(t *testing.T) {
	t.Parallel() // much of it is waiting
	ca, other := newAuthority(t, "ours"), newAuthority(t, "other")
	srv, secure := startSecure(t, ca, "none")
	trusted := ca.file(t)
	for name, files := range map[string]zookeeper.TLS{
		"by address":       {CA: trusted},
		"by expected name": {CA: trusted, ServerName: "zk.example"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openWith(t, overTLS(secure, files))
			must(t, s.EnsurePath(within(t), "/a/b", zookeeper.Persistent))
			must(t, s.Close())
		})
	}
	plain := overTLS(secure, zookeeper.TLS{})
	plain.Security.TLS = nil
	for name, test := range map[string]struct {
		cfg  zookeeper.Config
		want []string
	}{
		"other authority":  {overTLS(secure, zookeeper.TLS{CA: other.file(t)}), []string{secure, "not signed by a certificate in " + other.dir}},
		"system's":         {overTLS(secure, zookeeper.TLS{}), []string{secure, "name the file with the certificate of who signed"}},
		"other name":       {overTLS(secure, zookeeper.TLS{CA: trusted, ServerName: "zk.else"}), []string{"zk.else", "name the one to expect"}},
		"plain port":       {overTLS(srv.Addr(), zookeeper.TLS{CA: trusted}), []string{srv.Addr(), "is that its secureClientPort"}},
		"plain client":     {plain, []string{secure, "is its port one without TLS?"}},
		"missing file":     {overTLS(secure, zookeeper.TLS{CA: "/nowhere/ca.pem"}), []string{"/nowhere/ca.pem", "no such file"}},
		"no certificates":  {overTLS(secure, zookeeper.TLS{CA: write(t, filepath.Join(t.TempDir(), "x"))}), []string{"holds none", "PEM"}},
		"certificate only": {overTLS(secure, zookeeper.TLS{CA: trusted, Cert: trusted}), []string{"one needs the other"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each takes as long as soon
			_, err := zookeeper.Open(soon(t), test.cfg)
			wantText(t, "open", err, test.want...)
		})
	}
}

func TestTLSShowsTheClientsCertificate(t *testing.T) {
	t.Parallel() // much of it is waiting
	ca, other := newAuthority(t, "ours"), newAuthority(t, "other")
	_, secure := startSecure(t, ca, "need")
	dir := t.TempDir()
	files := zookeeper.TLS{CA: ca.file(t), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	ca.client(t, files.Cert, files.Key)
	s := openWith(t, overTLS(secure, files))
	must(t, s.Create(within(t), "/a", nil, zookeeper.Persistent))

	_, err := zookeeper.Open(soon(t), overTLS(secure, zookeeper.TLS{CA: files.CA}))
	wantText(t, "no certificate", err, secure, "client certificate")
	other.client(t, files.Cert, files.Key)
	_, err = zookeeper.Open(soon(t), overTLS(secure, files))
	wantText(t, "untrusted certificate", err, secure, "trust")
}

// One session, whose client's files change under it.
func TestTLSFilesAreReadAgainAtEachConnection(t *testing.T) {
	t.Parallel() // much of it is waiting
	ca, other := newAuthority(t, "ours"), newAuthority(t, "other")
	_, secure := startSecure(t, ca, "need")
	proxy := zookeepertest.StartProxy(t, secure)
	dir := t.TempDir()
	files := zookeeper.TLS{CA: ca.file(t), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	ca.client(t, files.Cert, files.Key)
	var out syncBuffer
	cfg := overTLS(proxy.Addr(), files)
	cfg.SessionTimeout = 20 * time.Second
	cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &out})
	s := openWith(t, cfg)
	reconnect := func() {
		proxy.Drop()
		awaitState(t, s, zookeeper.Suspended)
	}

	// Half a replacement: the former pair is used, and said once.
	write(t, files.Key, []byte("half a key"))
	for range 2 {
		reconnect()
		awaitState(t, s, zookeeper.Connected)
	}
	if got := strings.Count(out.text(), "new TLS files cannot be used"); got != 1 {
		t.Errorf("the log is %q, want one warning of the files", out.text())
	}

	// A whole one is used: this certificate is refused, the next one is not.
	other.client(t, files.Cert, files.Key)
	reconnect()
	_, err := zookeeper.Open(soon(t), cfg)
	wantText(t, "with the new files", err, "trust")
	if state, _ := s.State(); state != zookeeper.Suspended {
		t.Errorf("the session is %v with a certificate that the server refuses, want %v", state, zookeeper.Suspended)
	}
	ca.client(t, files.Cert, files.Key)
	awaitState(t, s, zookeeper.Connected)
	must(t, s.Create(within(t), "/a", nil, zookeeper.Persistent))
}
