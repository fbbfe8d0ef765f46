package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/zookeeper"
)

// The values of --zookeeper-acl.
const (
	aclOpen    = "open"
	aclCreator = "creator"
)

// ensembleFlags say which ensemble, and how to prove who one is to it. All
// commands that speak to ZooKeeper have them.
type ensembleFlags struct {
	servers  []string
	authFile string
	acl      string
	tls      zookeeper.TLS
}

func (e *ensembleFlags) add(f *pflag.FlagSet) {
	f.StringSliceVar(&e.servers, "zookeeper", nil, "members of the ensemble, `HOST:PORT,...`; a chroot may follow, HOST:PORT,.../PATH")
	f.StringVar(&e.authFile, "zookeeper-auth-file", "", "`file` with credentials for ZooKeeper, user:password; several lines are several identities")
	f.StringVar(&e.acl, "zookeeper-acl", aclOpen, "who may change what is created in ZooKeeper: open (everybody) or creator (who has the same credentials)")
	f.StringVar(&e.tls.CA, "zookeeper-tls-ca", "", "speak TLS with ZooKeeper, whose certificates must be signed by one in this `file` (default the system's, when another --zookeeper-tls flag is given)")
	f.StringVar(&e.tls.Cert, "zookeeper-tls-cert", "", "`file` with the certificate to show to ZooKeeper; it is read again at each connection, as are the others")
	f.StringVar(&e.tls.Key, "zookeeper-tls-key", "", "`file` with the key of --zookeeper-tls-cert")
	f.StringVar(&e.tls.ServerName, "zookeeper-tls-server-name", "", "`name` that ZooKeeper's certificates must be for (default the host of each server)")
}

// config returns what a client of the ensemble needs, without a session time-out
// and a logger. It reads the files that the flags name, and writes to notice, in a
// line each, what is unwise.
func (e *ensembleFlags) config(notice io.Writer) (zookeeper.Config, error) {
	given := strings.Join(e.servers, ",")
	if given == "" {
		return zookeeper.Config{}, &agent.InvalidError{Flag: "zookeeper", Problem: "is missing; give HOST:PORT,... of an ensemble"}
	}
	servers, chroot, err := zookeeper.ParseConnect(given)
	if err != nil {
		return zookeeper.Config{}, &agent.InvalidError{Flag: "zookeeper", Value: given, Problem: "is not HOST:PORT,... or HOST:PORT,.../CHROOT"}
	}
	security, err := e.security(notice)
	return zookeeper.Config{Servers: servers, Chroot: chroot, Security: security}, err
}

// security returns how to prove who one is, and who may change what is created.
func (e *ensembleFlags) security(notice io.Writer) (zookeeper.Security, error) {
	s := zookeeper.Security{}
	if e.authFile != "" {
		auth, err := readAuth(e.authFile, notice)
		if err != nil {
			return s, &agent.InvalidError{Flag: "zookeeper-auth-file", Value: e.authFile, Problem: err.Error()}
		}
		s.Auth = auth
	}
	if e.tls != (zookeeper.TLS{}) {
		if err := e.checkTLS(); err != nil {
			return s, err
		}
		s.TLS = &e.tls
	}
	switch e.acl {
	case aclOpen:
	case aclCreator:
		s.ACL = zookeeper.CreatorAll
	default:
		return s, &agent.InvalidError{Flag: "zookeeper-acl", Value: e.acl, Problem: "is not open or creator"}
	}
	if s.ACL == zookeeper.CreatorAll && len(s.Auth) == 0 {
		return s, &agent.InvalidError{
			Flag: "zookeeper-acl", Value: e.acl,
			Problem: "needs somebody to whom nodes can belong; give --zookeeper-auth-file",
		}
	}
	return s, nil
}

// checkTLS names the flag whose file cannot be used.
func (e *ensembleFlags) checkTLS() error {
	switch t := e.tls; {
	case t.Cert != "" && t.Key == "":
		return &agent.InvalidError{Flag: "zookeeper-tls-key", Problem: "is missing; --zookeeper-tls-cert needs its key"}
	case t.Cert == "" && t.Key != "":
		return &agent.InvalidError{Flag: "zookeeper-tls-cert", Problem: "is missing; --zookeeper-tls-key needs its certificate"}
	}
	if err := (zookeeper.TLS{CA: e.tls.CA}).Check(); err != nil {
		return &agent.InvalidError{Flag: "zookeeper-tls-ca", Value: e.tls.CA, Problem: err.Error()}
	}
	if err := e.tls.Check(); err != nil {
		return &agent.InvalidError{Flag: "zookeeper-tls-cert", Value: e.tls.Cert, Problem: err.Error()}
	}
	return nil
}

// readAuth reads credentials, one user:password a line. Its errors say what is
// wrong with the file and show nothing of it.
func readAuth(file string, notice io.Writer) ([]zookeeper.Auth, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, reason(err)
	}
	if others := fs.FileMode(0o004); info.Mode()&others != 0 {
		fmt.Fprintf(notice, "coordd: %s holds a password and can be read by everybody here; chmod o-r it\n", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, reason(err)
	}
	var auth []zookeeper.Auth
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if user, password, ok := strings.Cut(line, ":"); !ok || user == "" || password == "" {
			return nil, fmt.Errorf("line %d is not user:password", number)
		}
		auth = append(auth, zookeeper.Auth{Scheme: zookeeper.DigestScheme, Secret: line})
	}
	if len(auth) == 0 {
		return nil, errors.New("is empty; write user:password into it")
	}
	return auth, nil
}

// reason takes operation and path off an error about a file that is named already.
func reason(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("cannot be read: %w", pathErr.Err)
	}
	return err
}
