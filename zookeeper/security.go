package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"
)

// ACL says who may do what to the nodes that a client creates.
type ACL int

// The access control lists of a client.
const (
	// WorldAll lets everybody who reaches the ensemble do everything.
	WorldAll ACL = iota
	// CreatorAll lets only the identities of the session that created a node read,
	// write, delete and administer it; see Security.
	CreatorAll
)

// DigestScheme is the scheme of Auth for user and password.
const DigestScheme = "digest"

// Auth is an identity that a session proves to each server, before anything else
// is sent.
//
// ZooKeeper refuses no password: user and password together are the identity. With
// a wrong one a client is somebody else, who finds out by ErrNoAuth where nodes
// belong to the right one.
type Auth struct {
	// Scheme is how it is proved; empty means DigestScheme.
	Scheme string
	// Secret is the proof, for DigestScheme "user:password". It goes to the servers
	// as it is: use TLS.
	Secret string
}

// String names the identity without its secret.
func (a Auth) String() string {
	if a.Scheme != DigestScheme {
		return a.Scheme
	}
	user, _, _ := strings.Cut(a.Secret, ":")
	return a.Scheme + ":" + user
}

// GoString is String: no format shows the secret.
func (a Auth) GoString() string { return a.String() }

// Security is how a client and the servers protect themselves. The zero value is
// ZooKeeper's default: no authentication, and everybody may do everything.
type Security struct {
	// Auth lists the session's identities. With CreatorAll a node belongs to all of
	// them, so a password is changed by giving old and new for a while.
	Auth []Auth
	// ACL is for every node that the client creates, on every level. CreatorAll
	// needs Auth: all who share nodes need an identity in common.
	ACL ACL
	// TLS has the client speak TLS; nil for plain connections.
	TLS *TLS
}

func (s Security) complete() (Security, error) {
	auth := make([]Auth, len(s.Auth))
	for i, a := range s.Auth {
		if a.Scheme == "" {
			a.Scheme = DigestScheme
		}
		user, password, ok := strings.Cut(a.Secret, ":")
		if a.Scheme == DigestScheme && (!ok || user == "" || password == "") {
			return s, errors.New("zookeeper: credentials are not of the form user:password")
		}
		auth[i] = a
	}
	s.Auth = auth
	switch {
	case s.TLS != nil && (s.TLS.Cert == "") != (s.TLS.Key == ""):
		return s, s.TLS.unpaired()
	case s.ACL != WorldAll && s.ACL != CreatorAll:
		return s, fmt.Errorf("zookeeper: access control list %d is neither WorldAll nor CreatorAll", s.ACL)
	case s.ACL == CreatorAll && len(auth) == 0:
		return s, errors.New("zookeeper: CreatorAll needs an identity that nodes can belong to; give credentials (user:password)")
	}
	return s, nil
}

// identity says, for the error of who lacks a right, who that is.
func (s Security) identity() error {
	if len(s.Auth) == 0 {
		return errors.New("this client gave no credentials; give those of who created the node, or its parent for a create or delete")
	}
	return fmt.Errorf("this client is %v; a wrong password is never refused but makes another identity: "+
		"compare user and password with those of who created the node, or its parent for a create or delete", s.Auth)
}

// maxVetted bounds the memory of vet.
const maxVetted = 4096

// vetted are the paths whose access control lists were looked at.
type vetted struct {
	mu    sync.Mutex
	paths map[string]struct{}
}

// due reports whether the path is still to be looked at.
func (v *vetted) due(full string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, seen := v.paths[full]
	return !seen && len(v.paths) < maxVetted
}

// note remembers the path, and reports whether that is news.
func (v *vetted) note(full string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, seen := v.paths[full]; seen {
		return false
	}
	if v.paths == nil {
		v.paths = make(map[string]struct{})
	}
	v.paths[full] = struct{}{}
	return true
}

// vet warns when a node above one that is to be created, and to belong to its
// creator, is open to everybody: the right to delete a node is a right on its
// parent. It asks once for each path in the life of a client. The root is left out:
// it is open nearly everywhere, and what has children cannot be deleted from it.
func (s *Session) vet(ctx context.Context, full string) {
	if s.cfg.Security.ACL != CreatorAll {
		return
	}
	for p := path.Dir(full); p != "/" && s.cfg.kept.vetted.due(p); p = path.Dir(p) {
		acl, err := call(ctx, s, "acl", p, func(c *zk.Conn, _ string) ([]zk.ACL, error) {
			acl, _, err := c.GetACL(p)
			return acl, err
		})
		if errors.Is(err, ErrNoNode) {
			continue // made by whoever made the call, which looks again
		}
		if err != nil && !errors.Is(err, ErrNoAuth) { // what may not be looked at is not open
			return
		}
		if s.cfg.kept.vetted.note(p) && openToAll(acl) {
			s.log.Warn("everybody may create and delete below this node, also what belongs to this client only; "+
				"restrict it, in zkCli.sh: addauth digest USER:PASSWORD, then setAcl PATH auth::cdrwa", "path", p)
		}
	}
}

// openToAll reports whether everybody has a right over a node's children, or may
// take it.
func openToAll(acl []zk.ACL) bool {
	const rights = zk.PermCreate | zk.PermDelete | zk.PermAdmin
	for _, a := range acl {
		if a.Scheme == "world" && a.Perms&rights != 0 {
			return true
		}
	}
	return false
}

// acl returns what nodes are created with.
func (s *Session) acl() []zk.ACL {
	if s.cfg.Security.ACL == CreatorAll {
		return zk.AuthACL(zk.PermAll)
	}
	return zk.WorldACL(zk.PermAll)
}
