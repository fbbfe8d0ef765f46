package zookeepertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	zookeeperJar = "/usr/share/java/zookeeper.jar"
	loggerJar    = "/usr/share/java/slf4j-simple.jar"
	// Servers that speak TLS need it, and Debian's zookeeper.jar does not ask for it.
	codecJar  = "/usr/share/java/netty-codec.jar"
	mainClass = "org.apache.zookeeper.server.quorum.QuorumPeerMain"

	// startLimit bounds how long a server or an ensemble may take to serve. A
	// start takes a second; a busy machine takes longer.
	startLimit = 60 * time.Second
	// startAttempts is how often other ports are tried.
	startAttempts = 5
	// pollInterval is how often a starting server is asked whether it serves.
	pollInterval = 10 * time.Millisecond
)

// Server is one ZooKeeper server: a Java process with its files. Its methods
// fail the test that started it, and are called on that test's goroutine.
type Server struct {
	tb    TB
	cfg   config
	id    int      // 0 alone, 1... in an ensemble
	dir   string   // holds zoo.cfg, server.log and data/
	port  int      // for clients
	tls   int      // for clients that speak TLS, 0 for none
	peers []string // server.N lines

	mu       sync.Mutex
	proc     *process // nil before the first start
	paused   bool
	logStart int64 // where the present process began to write in the log
}

// StartServer starts a server alone and returns when it serves. At the end of
// the test the server is killed and its files are removed.
func StartServer(tb TB, opts ...Option) *Server {
	tb.Helper()
	requireInstalled(tb)
	cfg := newConfig(opts)
	s := &Server{tb: tb, cfg: cfg, dir: filepath.Join(baseDir(tb, cfg), "zk")}
	tb.Cleanup(func() { _ = s.kill() })
	err := errPortTaken
	for attempt := 0; attempt < startAttempts && errors.Is(err, errPortTaken); attempt++ {
		err = s.startOnFreePort()
	}
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return s
}

// startOnFreePort chooses a port, starts the server and waits until it serves.
func (s *Server) startOnFreePort() error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	s.port, s.tls = ports[0], ports[1]
	if err := s.launch(); err != nil {
		return err
	}
	return s.awaitServing(startLimit)
}

// requireInstalled fails the test when the servers cannot be started here.
func requireInstalled(tb TB) {
	tb.Helper()
	const remedy = "real ZooKeeper servers are needed: apt-get install zookeeper"
	if _, err := exec.LookPath("java"); err != nil {
		tb.Fatalf("%s (%v)", remedy, err)
	}
	for _, jar := range []string{zookeeperJar, loggerJar} {
		if _, err := os.Stat(jar); err != nil {
			tb.Fatalf("%s (%v)", remedy, err)
		}
	}
}

// baseDir returns the folder for the servers' files; a temporary one is removed
// at the end.
func baseDir(tb TB, cfg config) string {
	tb.Helper()
	if cfg.dataDir != "" {
		return cfg.dataDir
	}
	dir, err := os.MkdirTemp("", "zookeepertest-")
	if err != nil {
		tb.Fatalf("folder for ZooKeeper's data: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *Server) dataDir() string { return filepath.Join(s.dir, "data") }
func (s *Server) logPath() string { return filepath.Join(s.dir, "server.log") }

// launch writes the configuration and starts the process.
func (s *Server) launch() error {
	if err := s.kill(); err != nil {
		return err
	}
	if err := s.writeConfig(); err != nil {
		return fmt.Errorf("configure ZooKeeper in %s: %w", s.dir, err)
	}
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("ZooKeeper's log: %w", err)
	}
	// The child has its own descriptor.
	defer func() { _ = log.Close() }()
	info, err := log.Stat()
	if err != nil {
		return fmt.Errorf("ZooKeeper's log: %w", err)
	}
	p, err := startProcess(log, s.dir, "java", s.cfg.java(filepath.Join(s.dir, "zoo.cfg"))...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc, s.paused, s.logStart = p, false, info.Size()
	return nil
}

// writeConfig writes zoo.cfg and, in an ensemble, the server's number.
func (s *Server) writeConfig() error {
	if err := os.MkdirAll(s.dataDir(), 0o700); err != nil {
		return err
	}
	if s.id > 0 {
		id := fmt.Sprintf("%d\n", s.id)
		if err := os.WriteFile(filepath.Join(s.dataDir(), "myid"), []byte(id), 0o600); err != nil {
			return err
		}
	}
	text := s.cfg.zooCfg(s.dataDir(), s.port, s.peers)
	if s.cfg.secure != nil && s.tls != 0 {
		text += s.cfg.secure.zooCfg(s.tls)
	}
	return os.WriteFile(filepath.Join(s.dir, "zoo.cfg"), []byte(text), 0o600)
}

// awaitServing blocks until this very process answers clients.
func (s *Server) awaitServing(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		p, _ := s.state()
		serving := s.Mode() != ""
		// Looked at after the answer: whoever answered, it was this process only
		// if it still runs, for it ends when it does not get its port.
		if p == nil || !p.alive() {
			return s.startError("has ended")
		}
		if strings.Contains(s.log(), "BindException") {
			return s.startError("did not get its port")
		}
		if serving {
			return nil
		}
		if time.Now().After(deadline) {
			return s.startError(fmt.Sprintf("does not serve after %v", limit))
		}
		<-time.After(pollInterval)
	}
}

// startError describes a failed start and wraps errPortTaken when other ports
// would help.
func (s *Server) startError(what string) error {
	text := fmt.Sprintf("ZooKeeper server on %s %s", s.Addr(), what)
	if strings.Contains(s.log(), "BindException") {
		return fmt.Errorf("%s: %w\n%s", text, errPortTaken, s.LogTail())
	}
	return fmt.Errorf("%s; the end of its log:\n%s", text, s.LogTail())
}

// state returns the process, nil if none was started, and whether it is paused.
func (s *Server) state() (*process, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc, s.paused
}

// Addr returns "127.0.0.1:port", the same for all the server's life.
func (s *Server) Addr() string { return loopback(s.port) }

// Dir returns the folder with the server's zoo.cfg, server.log and data.
func (s *Server) Dir() string { return s.dir }

// Running reports whether the process lives, paused or not.
func (s *Server) Running() bool {
	p, _ := s.state()
	return p != nil && p.alive()
}

// Kill ends the process with SIGKILL and returns when it is gone. Killing a
// dead server does nothing.
func (s *Server) Kill() {
	s.tb.Helper()
	if err := s.kill(); err != nil {
		s.tb.Fatalf("%v", err)
	}
}

func (s *Server) kill() error {
	p, _ := s.state()
	if p == nil {
		return nil
	}
	return p.kill()
}

// Stop ends the process with SIGTERM, and with SIGKILL if that takes 10 s.
func (s *Server) Stop() {
	s.tb.Helper()
	if p, _ := s.state(); p != nil {
		if err := p.terminate(10 * time.Second); err != nil {
			s.tb.Fatalf("stop ZooKeeper on %s: %v", s.Addr(), err)
		}
	}
}

// Start starts the process again after Kill or Stop, on the same port and data,
// without waiting until it serves: a server of an ensemble serves only with a
// quorum.
func (s *Server) Start() {
	s.tb.Helper()
	if s.Running() {
		s.tb.Fatalf("start ZooKeeper on %s: it is running", s.Addr())
	}
	if err := s.launch(); err != nil {
		s.tb.Fatalf("%v", err)
	}
}

// Restart kills the process if it lives, starts it again on the same port and
// data, and returns when it serves.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	s.Start()
	s.WaitServing()
}

// WaitServing blocks until the server answers clients.
func (s *Server) WaitServing() {
	s.tb.Helper()
	if err := s.awaitServing(startLimit); err != nil {
		s.tb.Fatalf("%v", err)
	}
}

// Pause stops the process with SIGSTOP: connections stay, nothing is answered.
// It returns when every thread has stopped.
func (s *Server) Pause() {
	s.tb.Helper()
	p, _ := s.state()
	if p == nil {
		s.tb.Fatalf("pause ZooKeeper on %s: it is not running", s.Addr())
	}
	err := p.signal(syscall.SIGSTOP)
	if err == nil {
		err = awaitStopped(p.cmd.Process.Pid)
	}
	if err != nil {
		s.tb.Fatalf("pause ZooKeeper on %s: %v", s.Addr(), err)
	}
	s.setPaused(true)
}

// Resume continues a paused process.
func (s *Server) Resume() {
	s.tb.Helper()
	p, _ := s.state()
	if p == nil {
		s.tb.Fatalf("resume ZooKeeper on %s: it is not running", s.Addr())
	}
	s.setPaused(false)
	if err := p.signal(syscall.SIGCONT); err != nil {
		s.tb.Fatalf("resume ZooKeeper on %s: %v", s.Addr(), err)
	}
}

func (s *Server) setPaused(paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = paused
}

// FourLetter sends a four-letter command ("srvr", "cons", "dump", ...) and
// returns the answer.
func (s *Server) FourLetter(command string) string {
	s.tb.Helper()
	answer, err := fourLetter(s.Addr(), command)
	if err != nil {
		s.tb.Fatalf("%v", err)
	}
	return answer
}

// fourLetter asks the server at addr, for at most two seconds.
func fourLetter(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", fmt.Errorf("%s of ZooKeeper: %w", command, err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(conn, command); err != nil {
		return "", fmt.Errorf("%s of ZooKeeper on %s: %w", command, addr, err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return "", fmt.Errorf("%s of ZooKeeper on %s: %w", command, addr, err)
	}
	return string(answer), nil
}

// Mntr returns the server's own measurements, for example "zk_znode_count".
func (s *Server) Mntr() map[string]string {
	s.tb.Helper()
	return parseMntr(s.FourLetter("mntr"))
}

// parseMntr reads lines of a name, a tab and a value.
func parseMntr(answer string) map[string]string {
	values := make(map[string]string)
	for line := range strings.Lines(answer) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			values[name] = value
		}
	}
	return values
}

// Mode returns "standalone", "leader" or "follower", and "" while the server
// does not serve.
func (s *Server) Mode() string { return s.measurements()["zk_server_state"] }

// measurements are those of Mntr, and none while the server cannot answer.
func (s *Server) measurements() map[string]string {
	if !s.awake() {
		return nil
	}
	answer, err := fourLetter(s.Addr(), "mntr")
	if err != nil {
		return nil
	}
	return parseMntr(answer)
}

// awake reports whether the process lives and is not paused.
func (s *Server) awake() bool {
	p, paused := s.state()
	return p != nil && p.alive() && !paused
}

// log returns what the present process has logged.
func (s *Server) log() string {
	s.mu.Lock()
	start := s.logStart
	s.mu.Unlock()
	all, err := os.ReadFile(s.logPath())
	if err != nil || int64(len(all)) < start {
		return ""
	}
	return string(all[start:])
}

// LogTail returns the last 40 lines of the server's log.
func (s *Server) LogTail() string {
	all, err := os.ReadFile(s.logPath())
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(all), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
}
