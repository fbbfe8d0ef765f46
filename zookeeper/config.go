package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Defaults of Config.
const (
	// DefaultPort is used for servers named without one.
	DefaultPort = "2181"
	// DefaultSessionTimeout is T when Config leaves it zero.
	DefaultSessionTimeout = 10 * time.Second
	// MaxData is the largest data of one znode that this client writes, half of
	// what a server accepts in a request by default (jute.maxbuffer, 1 MiB): a
	// request over the limit makes the server drop the connection without a word.
	MaxData = 512 << 10
	// maxPath bounds a path with its chroot, so that it fits beside data.
	maxPath = 64 << 10
	// maxRequest bounds a whole multi. The server's limit is 1,048,575 bytes.
	maxRequest = 1_000_000
	// maxFrame bounds what a server may send at once.
	maxFrame = 4 << 20
	// minTimeout is the shortest time-out that makes sense, asked for or given.
	minTimeout = 10 * time.Millisecond
)

// Dial opens a connection to addr, a host:port, on network "tcp".
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Config says which ensemble to use and how.
type Config struct {
	// Servers lists the ensemble's members as host or host:port; at least one is
	// needed. Names are resolved anew at each attempt to connect.
	Servers []string
	// Chroot is put in front of every path; empty for none.
	Chroot string
	// SessionTimeout is what is asked for; the server decides (Session.Timeout).
	// Zero means DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Security is credentials, access control lists and TLS; the zero value for none.
	Security Security
	// Tick and SyncLimit are the servers' tickTime and syncLimit. They serve to warn
	// of a SessionTimeout that is too short for one hung server, Tick also to know
	// better how long a leader may act. Zero means unknown; for the warning a Client
	// then tries to ask the servers.
	Tick      time.Duration
	SyncLimit int
	// Dial replaces net.Dialer, for tests and proxies; nil for the ordinary one.
	Dial Dial
	// Logger gets the client's messages; nil for none.
	Logger hclog.Logger

	kept *kept // set by complete
}

// kept is what a client keeps in mind over its sessions.
type kept struct {
	keys   keyring
	vetted vetted
	// advised: a warning of the session time-out was given.
	advised atomic.Bool
}

// ParseConnect reads a connection string "host:port,host:port/chroot" into
// servers and chroot. Its error names the part that is wrong.
func ParseConnect(s string) (servers []string, chroot string, err error) {
	list := s
	if i := strings.IndexByte(s, '/'); i >= 0 {
		list, chroot = s[:i], path.Clean(s[i:])
		if chroot == "/" {
			chroot = ""
		}
		if strings.Contains(chroot, ",") {
			return nil, "", fmt.Errorf("zookeeper: connection string %q: a chroot stands once, behind the last server", s)
		}
	}
	for part := range strings.SplitSeq(list, ",") {
		addr, err := address(strings.TrimSpace(part))
		if err != nil {
			return nil, "", fmt.Errorf("zookeeper: connection string %q: %w", s, err)
		}
		servers = append(servers, addr)
	}
	return servers, chroot, nil
}

// address completes a server's name to host:port. A bare IPv6 address is
// understood.
func address(s string) (string, error) {
	if s == "" {
		return "", errors.New("a server is empty; write HOST:PORT,HOST:PORT")
	}
	if ip := net.ParseIP(s); ip != nil || !strings.Contains(s, ":") {
		return net.JoinHostPort(s, DefaultPort), nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("server %q is not HOST:PORT: %w", s, err)
	}
	if host == "" || port == "" {
		return "", fmt.Errorf("server %q lacks its host or port; write HOST:PORT", s)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", fmt.Errorf("server %q has no valid port", s)
	}
	return net.JoinHostPort(host, port), nil
}

// complete checks the configuration and fills in the defaults.
func (c Config) complete() (Config, error) {
	if len(c.Servers) == 0 {
		return c, errors.New("zookeeper: no server is configured; name at least one as HOST:PORT")
	}
	servers := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		addr, err := address(s)
		if err != nil {
			return c, fmt.Errorf("zookeeper: %w", err)
		}
		servers[i] = addr
	}
	c.Servers = servers
	if c.SessionTimeout == 0 {
		c.SessionTimeout = DefaultSessionTimeout
	}
	if c.SessionTimeout < minTimeout {
		return c, fmt.Errorf("zookeeper: session time-out %v is too short; ZooKeeper takes 2 to 20 of its ticks (2 s each by default)", c.SessionTimeout)
	}
	if c.Chroot != "" && !strings.HasPrefix(c.Chroot, "/") {
		return c, fmt.Errorf("zookeeper: chroot %q does not begin with /", c.Chroot)
	}
	c.Chroot = strings.TrimSuffix(c.Chroot, "/")
	security, err := c.Security.complete()
	if err != nil {
		return c, err
	}
	c.Security = security
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.kept == nil {
		c.kept = &kept{}
	}
	return c, nil
}
