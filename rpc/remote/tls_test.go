package remote

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/rpc"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	a.write(t, "ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) issue(t *testing.T, adapt func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "coordd"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	adapt(c)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key
}

func (a *authority) write(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// member writes a certificate for 127.0.0.1 with its key, over those of the same name,
// and returns a configuration that trusts a's.
func (a *authority) member(t *testing.T, name string) *TLS {
	t.Helper()
	c, key := a.issue(t, func(*x509.Certificate) {})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &TLS{
		CA:   filepath.Join(a.dir, "ca.pem"),
		Cert: a.write(t, name+".pem", "CERTIFICATE", c.Raw), Key: a.write(t, name+"-key.pem", "PRIVATE KEY", der),
	}
}

// try connects to a host with one configuration as a caller with another.
func try(t *testing.T, host *Service, files *TLS) error {
	t.Helper()
	g, hangUp, err := Connect(t.Context(), caller(t, Config{TLS: files}), echoGateway(), rpc.Target{Address: host.Address(), Endpoint: "worker/w1"})
	if err != nil {
		return err
	}
	defer hangUp()
	_, err = g.Say(t.Context(), "")
	return err
}

func TestTLSSecuresCalls(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	for _, mutual := range []bool{false, true} {
		files := ours.member(t, "host")
		files.Mutual = mutual
		host, _ := serve(t, Config{TLS: files})
		hostEcho(t, host, rpc.EndpointConfig{Name: "worker/w1"}, plain)
		nameless := &TLS{CA: files.CA}
		foreign := others.member(t, "foreign")
		foreign.CA = files.CA
		wrongName := ours.member(t, "member")
		wrongName.ServerName = "elsewhere"
		for _, c := range []struct {
			name  string
			files *TLS
			ok    bool
		}{
			{"a member", ours.member(t, "member"), true},
			{"who trusts others", others.member(t, "other"), false},
			{"who expects another name", wrongName, false},
			{"without TLS", nil, false},
			{"without a certificate", nameless, !mutual},
			{"with a certificate of others", foreign, !mutual},
		} {
			err := try(t, host, c.files)
			if c.ok != (err == nil) || err != nil && (!errors.Is(err, rpc.ErrUnreachable) || errors.Is(err, rpc.ErrRefused)) {
				t.Errorf("mutual %v, %s: got %v, should work: %v", mutual, c.name, err, c.ok)
			}
		}
	}
}

func TestReplacedFilesAreUsedAndBadOnesAreNot(t *testing.T) {
	old, next := newAuthority(t), newAuthority(t)
	files := old.member(t, "host")
	host, _ := serve(t, Config{TLS: files})
	hostEcho(t, host, rpc.EndpointConfig{Name: "worker/w1"}, plain)
	trustsOld, trustsNext := &TLS{CA: files.CA}, &TLS{CA: filepath.Join(next.dir, "ca.pem")}
	if err := try(t, host, trustsOld); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.Cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := try(t, host, trustsOld); err != nil {
		t.Errorf("while a file is bad: %v, want the former ones to be used", err)
	}
	fresh := next.member(t, "host")
	for to, from := range map[string]string{files.Cert: fresh.Cert, files.Key: fresh.Key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := try(t, host, trustsNext); err != nil {
		t.Errorf("after the files were replaced: %v", err)
	}
}

func TestFilesAreChecked(t *testing.T) {
	a := newAuthority(t)
	good := a.member(t, "member")
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		files TLS
		want  string
	}{
		"no such CA":    {TLS{CA: "absent.pem"}, "absent.pem"},
		"CA is a key":   {TLS{CA: good.Key}, "holds none"},
		"key is a cert": {TLS{Cert: good.Cert, Key: good.Cert}, good.Cert},
	} {
		if err := c.files.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	// A caller whose files are bad from the start is told so.
	host, _ := serve(t, Config{TLS: good})
	if err := try(t, host, &TLS{CA: "absent.pem"}); !errors.Is(err, rpc.ErrUnreachable) || !strings.Contains(err.Error(), "absent.pem") {
		t.Errorf("got %v, want the file's name", err)
	}
}
