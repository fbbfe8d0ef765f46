package zookeepertest

import (
	"fmt"
	"strings"
	"time"
)

// Option changes how a real server is started. Without options a server ticks
// every 100 ms, grants session time-outs from 200 ms to 60 s, keeps its data in
// a temporary folder that Kill and Restart leave alone, and does not wait for
// the disk (the data survives the death of the process, not of the machine).
type Option func(*config)

// config is what the options set.
type config struct {
	tick       time.Duration
	initLimit  int
	syncLimit  int
	minSession time.Duration
	maxSession time.Duration
	dataDir    string
	partitions bool
	lines      []string
	jvm        []string
	fsync      bool
	secure     *Secure
}

func newConfig(opts []Option) config {
	c := config{
		tick: 100 * time.Millisecond, initLimit: 50, syncLimit: 10,
		maxSession: time.Minute,
	}
	for _, o := range opts {
		o(&c)
	}
	if c.minSession == 0 {
		c.minSession = 2 * c.tick
	}
	return c
}

// TickTime sets the tick: sessions are checked for expiry once a tick, and the
// limits below count in ticks.
func TickTime(d time.Duration) Option { return func(c *config) { c.tick = d } }

// InitLimit sets how many ticks a follower may take to join a leader (50).
func InitLimit(ticks int) Option { return func(c *config) { c.initLimit = ticks } }

// SyncLimit sets how many ticks a follower may lag behind (10): a paused server
// is given up by the others after that time.
func SyncLimit(ticks int) Option { return func(c *config) { c.syncLimit = ticks } }

// MinSessionTimeout sets the shortest session time-out that is granted (2 ticks).
func MinSessionTimeout(d time.Duration) Option { return func(c *config) { c.minSession = d } }

// MaxSessionTimeout sets the longest session time-out that is granted (60 s).
func MaxSessionTimeout(d time.Duration) Option { return func(c *config) { c.maxSession = d } }

// DataDir keeps the servers' files under dir, one folder a server, and leaves
// them there at the end. The default is a temporary folder.
func DataDir(dir string) Option { return func(c *config) { c.dataDir = dir } }

// Partitions has an ensemble's members reach one another through proxies, so that
// Ensemble.CutOff can part them.
func Partitions() Option { return func(c *config) { c.partitions = true } }

// ConfigLines appends lines to zoo.cfg.
func ConfigLines(lines ...string) Option {
	return func(c *config) { c.lines = append(c.lines, lines...) }
}

// JavaFlags appends flags for the Java machine, for example
// "-Dzookeeper.snapCount=1000".
func JavaFlags(flags ...string) Option {
	return func(c *config) { c.jvm = append(c.jvm, flags...) }
}

// Fsync makes the servers wait for the disk at every write, as in production.
// Benchmarks want it; tests that kill processes do not need it.
func Fsync() Option { return func(c *config) { c.fsync = true } }

// java returns the arguments of the Java machine that runs the given zoo.cfg:
// small, quick to start, logging to standard error.
func (c config) java(cfgPath string) []string {
	args := []string{
		"-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-Dzookeeper.preAllocSize=1024",
		// Servers that lost each other ask again soon; the default backs off to a minute.
		"-Dzookeeper.fastleader.maxNotificationInterval=500",
	}
	if !c.fsync {
		args = append(args, "-Dzookeeper.forceSync=no")
	}
	args = append(args, c.jvm...)
	return append(args, "-cp", strings.Join([]string{zookeeperJar, loggerJar, codecJar}, ":"), mainClass, cfgPath)
}

// zooCfg returns the server's zoo.cfg. peers holds the server.N lines of an
// ensemble and is empty for a server alone.
func (c config) zooCfg(dataDir string, port int, peers []string) string {
	lines := []string{
		fmt.Sprintf("tickTime=%d", c.tick.Milliseconds()),
		fmt.Sprintf("initLimit=%d", c.initLimit),
		fmt.Sprintf("syncLimit=%d", c.syncLimit),
		fmt.Sprintf("minSessionTimeout=%d", c.minSession.Milliseconds()),
		fmt.Sprintf("maxSessionTimeout=%d", c.maxSession.Milliseconds()),
		"dataDir=" + dataDir,
		fmt.Sprintf("clientPort=%d", port),
		"clientPortAddress=127.0.0.1",
		"maxClientCnxns=0",
		"admin.enableServer=false",
		"4lw.commands.whitelist=*",
	}
	lines = append(lines, peers...)
	lines = append(lines, c.lines...)
	return strings.Join(lines, "\n") + "\n"
}
