package agent

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/web"
)

// The defaults of Config.
const (
	DefaultClusterID      = "default"
	DefaultRoot           = "/coordd"
	DefaultHTTP           = "127.0.0.1:7420"
	DefaultRPC            = "127.0.0.1:7421"
	DefaultSessionTimeout = 10 * time.Second
	// DevSlots is the number of slots of a development agent that names none.
	DevSlots = 4
)

// MinSessionTimeout is the shortest session time-out that leaves a leader time to
// renew and to stop.
const MinSessionTimeout = 500 * time.Millisecond

// Config says what an Agent is. Exactly one of ZooKeeper, Dev and Backend is set.
type Config struct {
	// ID names this agent in its cluster. Empty means host name and HTTP port.
	ID string
	// ZooKeeper lists the ensemble's members as HOST:PORT.
	ZooKeeper []string
	// Dev makes a cluster of this one agent, whose state is in memory.
	Dev bool
	// Backend is a backend that the caller made, for tests and embedders. Run runs
	// it.
	Backend ha.Services
	// ClusterID names the cluster below Root. Empty means DefaultClusterID.
	ClusterID string
	// Root is the path in ZooKeeper below which clusters live. Empty means
	// DefaultRoot.
	Root string
	// HTTP is the address to listen on, HOST:PORT; port 0 takes a free one. Empty
	// means DefaultHTTP.
	HTTP string
	// Listener serves HTTP in place of a listener on HTTP. Run closes it. Nil means
	// to listen on HTTP.
	Listener net.Listener
	// RPC is the address that is published for RPC. Nothing listens there yet.
	// Empty means DefaultRPC.
	RPC string
	// Advertise is the host under which others reach this agent. Empty means the
	// host of HTTP, or the host name when HTTP is bound to all interfaces.
	Advertise string
	// InsecureBind allows HTTP and RPC on other than loopback addresses.
	InsecureBind bool
	// AllowedHosts lists further names that a Host header may hold.
	AllowedHosts []string
	// DataDir is a folder of this agent alone. Empty means none.
	DataDir string
	// Slots is how many subtasks the built-in worker runs at once. Zero means no
	// worker, and with Dev DevSlots.
	Slots int
	// SessionTimeout is how long the cluster waits for a silent leader, as asked of
	// ZooKeeper. Zero means DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Version is what the agent reports of itself.
	Version web.Version
	// Logger receives the log. Nil means none.
	Logger hclog.Logger
}

// InvalidError names the setting that cannot be used.
type InvalidError struct {
	// Flag is the command-line flag of the setting, without dashes.
	Flag string
	// Value is what was given.
	Value string
	// Problem says what is wrong and what would be right.
	Problem string
}

// Error returns the flag, the value and the problem in one line.
func (e *InvalidError) Error() string { return e.Text("--" + e.Flag) }

// Text is Error for a setting that the user knows under another name, such as
// that of an environment variable.
func (e *InvalidError) Text(name string) string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", name, e.Problem)
	}
	return fmt.Sprintf("%s %s: %s", name, e.Value, e.Problem)
}

func invalid(flag, value, format string, args ...any) error {
	return &InvalidError{Flag: flag, Value: value, Problem: fmt.Sprintf(format, args...)}
}

// withDefaults fills the zero values in.
func (c Config) withDefaults() Config {
	setDefault(&c.ClusterID, DefaultClusterID)
	setDefault(&c.Root, DefaultRoot)
	setDefault(&c.HTTP, DefaultHTTP)
	setDefault(&c.RPC, DefaultRPC)
	setDefault(&c.SessionTimeout, DefaultSessionTimeout)
	if c.Dev {
		setDefault(&c.Slots, DevSlots)
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns an *InvalidError for the first setting that cannot be used. It
// does no I/O.
func (c Config) Validate() error {
	c = c.withDefaults()
	for _, check := range []func() error{c.validateBackend, c.validateNames, c.validateAddresses} {
		if err := check(); err != nil {
			return err
		}
	}
	if c.Slots < 0 {
		return invalid("slots", strconv.Itoa(c.Slots), "cannot be negative; 0 means no built-in worker")
	}
	if c.SessionTimeout < MinSessionTimeout {
		return invalid("session-timeout", c.SessionTimeout.String(), "is too short; use %s or more", MinSessionTimeout)
	}
	return nil
}

func (c Config) validateBackend() error {
	if c.Backend != nil {
		return nil
	}
	switch {
	case c.Dev && len(c.ZooKeeper) > 0:
		return invalid("dev", "", "cannot be combined with --zookeeper; --dev is a cluster of one without ZooKeeper")
	case !c.Dev && len(c.ZooKeeper) == 0:
		return invalid("zookeeper", "", "is missing; give HOST:PORT,... of an ensemble, or use --dev to try coordd without one")
	}
	for _, server := range c.ZooKeeper {
		host, port, err := net.SplitHostPort(server)
		if err != nil || host == "" || !isPort(port) {
			return invalid("zookeeper", strings.Join(c.ZooKeeper, ","), "%q is not HOST:PORT", server)
		}
	}
	return nil
}

func (c Config) validateNames() error {
	for flag, name := range map[string]string{"id": c.ID, "cluster-id": c.ClusterID} {
		if name != "" && job.ID(name).Validate() != nil {
			return invalid(flag, strconv.Quote(name),
				"use 1 to %d letters, digits, '.', '_' and '-', beginning with a letter or a digit", job.MaxIDLength)
		}
	}
	if !strings.HasPrefix(c.Root, "/") || c.Root == "/" || strings.HasSuffix(c.Root, "/") || strings.Contains(c.Root, "//") {
		return invalid("root", strconv.Quote(c.Root), "is not a path such as %s", DefaultRoot)
	}
	return nil
}

func (c Config) validateAddresses() error {
	for _, a := range []struct{ flag, address string }{{"http", c.HTTP}, {"rpc", c.RPC}} {
		host, port, err := net.SplitHostPort(a.address)
		if err != nil || !isPort(port) {
			return invalid(a.flag, a.address, "is not HOST:PORT, such as %s", DefaultHTTP)
		}
		if !c.InsecureBind && !isLoopback(host) {
			return invalid(a.flag, a.address, "is open to other machines, and jobs are commands: "+
				"whoever reaches it runs programs here; use a loopback address, or add --insecure-bind on a network that you trust")
		}
	}
	return nil
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// isUnspecified reports whether host means all interfaces.
func isUnspecified(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// stopGrace is how long a term's work may take to stop. It is taken off the
// lease, so it must stay small beside the session time-out.
func (c Config) stopGrace() time.Duration {
	const (
		share    = 8
		shortest = 100 * time.Millisecond
		longest  = time.Second
	)
	return min(max(c.SessionTimeout/share, shortest), longest)
}
