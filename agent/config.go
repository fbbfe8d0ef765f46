package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/rpc/remote"
	"github.com/coordd/coordd/web"
	"github.com/coordd/coordd/zookeeper"
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

// DataFile is the name of the file in DataDir that holds the state of a development
// agent. One process uses it at a time.
const DataFile = "coordd.db"

// MinSessionTimeout is the shortest session time-out that leaves a leader time to
// renew and to stop.
const MinSessionTimeout = 500 * time.Millisecond

// Config says what an Agent is. Exactly one of ZooKeeper, Dev and Backend is set.
type Config struct {
	// ID names this agent in its cluster. Empty means host name and HTTP port.
	ID string
	// ZooKeeper lists the ensemble's members as HOST:PORT. Behind the last one a
	// chroot may stand, HOST:PORT/PATH, below which Root is.
	ZooKeeper []string
	// Security is how to prove to ZooKeeper who one is, and who may change what is
	// created there; the zero value for none.
	Security zookeeper.Security
	// Dev makes a cluster of this one agent. Its state is kept in DataDir, where an
	// agent that is started later goes on with it, or in memory when there is none.
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
	// RPC is the address on which workers and other agents are listened to, HOST:PORT;
	// port 0 takes a free one. Empty means DefaultRPC, or a free port of loopback when
	// Listener or Backend is set.
	RPC string
	// RPCListener serves RPC in place of a listener on RPC. Run closes it. Nil means to
	// listen on RPC.
	RPCListener net.Listener
	// RPCDial makes the connections to other members. Nil means TCP.
	RPCDial func(ctx context.Context, address string) (net.Conn, error)
	// RPCTLS secures RPC, in both directions. All members of a cluster have it or none.
	RPCTLS *remote.TLS
	// Advertise is the host under which others reach this agent. Empty means the
	// host of HTTP, or the host name when HTTP is bound to all interfaces.
	Advertise string
	// InsecureBind allows HTTP and RPC on other than loopback addresses.
	InsecureBind bool
	// AllowedHosts lists further names that a Host header may hold.
	AllowedHosts []string
	// DataDir is a folder of this agent alone, which is made when it is missing. With
	// Dev it holds the file DataFile. Empty means none.
	DataDir string
	// BlobDir is a folder that all coordinators of the cluster share, for graphs that
	// are too large for ZooKeeper, as an absolute path. Empty means that such graphs
	// are refused.
	BlobDir string
	// Slots is how many subtasks the built-in worker runs at once. Zero means no
	// worker, and with Dev DevSlots.
	Slots int
	// Labels are what tasks can require of a worker; those of the built-in one.
	Labels map[string]string
	// Funcs are the functions that tasks can name, beside commands, on the built-in
	// worker.
	Funcs taskexecutor.Funcs
	// SessionTimeout is how long the cluster waits for a silent leader, as asked of
	// ZooKeeper, and after how long without a heartbeat components regard one another as
	// gone. Zero means DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Retention says which results of finished jobs are kept. Its zero fields mean
	// coordinator.DefaultRetainCount and coordinator.DefaultRetainAge.
	Retention coordinator.Retention
	// Limits bound what this agent takes on while it leads. Its zero fields mean the
	// defaults of coordinator.
	Limits coordinator.Limits
	// CleanupRetry spaces the tries to clean up after a job. Its zero fields mean
	// 1 s and 1 h.
	CleanupRetry coordinator.Backoff
	// Cleaners remove what jobs leave outside the cluster, after their result is
	// recorded and before it is clean. None are needed for coordd's own.
	Cleaners []coordinator.Cleaner
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
	if c.Listener != nil || c.Backend != nil {
		setDefault(&c.RPC, "127.0.0.1:0")
	}
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

// ClusterPath returns the path in ZooKeeper below which all of the cluster stands.
func (c Config) ClusterPath() string {
	c = c.withDefaults()
	return c.Root + "/" + c.ClusterID
}

// dataFile returns where a development agent keeps its state, "" for in memory.
func (c Config) dataFile() string {
	if c.DataDir == "" {
		return ""
	}
	return filepath.Join(c.DataDir, DataFile)
}

// workerDir returns the folder of the built-in worker, "" for a temporary one.
func (c Config) workerDir() string {
	if c.DataDir == "" {
		return ""
	}
	return filepath.Join(c.DataDir, "worker")
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
	if err := job.CheckLabels(c.Labels); err != nil {
		return invalid("label", "", "%v", err)
	}
	if r := c.CleanupRetry; r.First < 0 {
		return invalid("cleanup-retry", r.First.String(), "cannot be negative")
	} else if r.Max < 0 || r.Max != 0 && r.Max < r.First {
		return invalid("cleanup-retry-max", r.Max.String(), "is shorter than --cleanup-retry %s", r.First)
	}
	for flag, n := range map[string]int{
		"max-jobs": c.Limits.Jobs, "max-graph-size": c.Limits.GraphSize, "max-tasks": c.Limits.Tasks,
	} {
		if n < 0 {
			return invalid(flag, strconv.Itoa(n), "cannot be negative; 0 means the default")
		}
	}
	if c.RPCTLS != nil {
		if err := c.RPCTLS.Validate(); err != nil {
			return invalid("rpc-tls-cert", "", "%v", err)
		}
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
	if c.Dev {
		return nil
	}
	_, _, err := c.ensemble()
	return err
}

// ensemble returns the servers and the chroot.
func (c Config) ensemble() (servers []string, chroot string, err error) {
	given := strings.Join(c.ZooKeeper, ",")
	list, _, _ := strings.Cut(given, "/")
	for server := range strings.SplitSeq(list, ",") {
		host, port, err := net.SplitHostPort(server)
		if err != nil || host == "" || !isPort(port) {
			return nil, "", invalid("zookeeper", given, "%q is not HOST:PORT", server)
		}
	}
	servers, chroot, err = zookeeper.ParseConnect(given)
	if err != nil {
		return nil, "", invalid("zookeeper", given, "is not HOST:PORT,... or HOST:PORT,.../CHROOT; the chroot stands once, behind the last server")
	}
	return servers, chroot, nil
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
