// Command curator measures Curator's LeaderLatch: the contender of e2e/curator, one
// Java machine each. Its time includes a line to one machine and a line from the other.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coordd/coordd/bench/peers/internal/contest"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

const (
	recipes = "/usr/share/java/curator-recipes.jar"
	logger  = "/usr/share/java/slf4j-simple.jar"
	remedy  = "apt-get install default-jdk-headless libcurator-recipes-java libslf4j-java"
	latch   = "/latch"
	// classes is where the endpoint carries the folder of the compiled contender.
	classes = "#"
)

func main() {
	contest.Main(contest.Peer{
		Name: "curator", Version: "5.4.0 of Debian 12", TTL: contest.ZooKeeperTTL,
		Serve: serve, New: newContender,
		Requests: func(ctx context.Context, endpoint string) (float64, error) {
			server, _, _ := strings.Cut(endpoint, classes)
			return contest.ZooKeeperRequests(ctx, server)
		},
		Delete: func(ctx context.Context, endpoint string) error {
			server, _, _ := strings.Cut(endpoint, classes)
			return contest.DeleteLowest(latch)(ctx, server)
		},
	})
}

// serve starts a server and compiles the contender.
func serve(tb zookeepertest.TB, fsync bool) string {
	dir, err := os.MkdirTemp("", "curator-")
	if err != nil {
		tb.Fatalf("make a folder for classes: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	source := filepath.Join("..", "..", "e2e", "curator", "testdata", "Contender.java")
	out, err := exec.Command("javac", "-proc:none", "-cp", recipes, "-d", dir, source).CombinedOutput()
	if err != nil {
		tb.Fatalf("compile %s (run this in bench/peers; %s): %v\n%s", source, remedy, err, out)
	}
	return contest.ServeZooKeeper(tb, fsync) + classes + dir
}

type contender struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
	lost  chan struct{} // closed when it said so
	once  sync.Once
	args  []string
}

func newContender(_ context.Context, endpoint, id string, ttl time.Duration) (contest.Contender, error) {
	server, dir, _ := strings.Cut(endpoint, classes)
	return &contender{args: []string{
		"-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
		"-cp", strings.Join([]string{dir, recipes, logger}, ":"), "Contender",
		server, latch, "/", id, strconv.FormatInt(ttl.Milliseconds(), 10),
	}}, nil
}

// Campaign starts the Java machine at the first time: it contends at once.
func (c *contender) Campaign(ctx context.Context) error {
	if c.cmd != nil {
		if _, err := io.WriteString(c.in, "contend\n"); err != nil {
			return err
		}
		return c.await(ctx, "leader")
	}
	c.cmd = exec.Command("java", c.args...)
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	c.in, c.lines, c.lost = in, make(chan string, 100), make(chan struct{})
	if err := c.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(c.lines)
		told := sync.OnceFunc(func() { close(c.lost) })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "notleader" {
				told()
			}
			c.lines <- lines.Text()
		}
	}()
	// Until it stands in line: a machine takes long to start.
	if err := c.await(ctx, "connection CONNECTED"); err != nil {
		return err
	}
	return c.await(ctx, "leader")
}

func (c *contender) await(ctx context.Context, want string) error {
	for {
		select {
		case line, ok := <-c.lines:
			if !ok {
				return fmt.Errorf("the Java contender ended before it said %q", want)
			}
			if line == want {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Lost serves the one whose first loss matters: the victim.
func (c *contender) Lost() <-chan struct{} { return c.lost }

func (c *contender) Resign(ctx context.Context) error {
	if _, err := io.WriteString(c.in, "close\n"); err != nil {
		return err
	}
	return c.await(ctx, "closed")
}

func (c *contender) Close() {
	if c.cmd == nil {
		return
	}
	c.once.Do(func() {
		_ = c.in.Close() // its end halts the machine
		for range c.lines {
		}
		_ = c.cmd.Wait()
	})
}
