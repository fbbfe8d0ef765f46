package main

import (
	"bufio"
	"context"
	_ "embed" // for the Java program
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
)

// The jars of Debian's packages name in their manifests the other jars that they need.
const (
	recipesJar = "/usr/share/java/curator-recipes.jar"
	loggerJar  = "/usr/share/java/slf4j-simple.jar"
	missing    = "Curator is measured too: apt-get install default-jdk-headless libcurator-recipes-java libslf4j-java, or say --curator=false"
)

// curatorWarmup is how many rounds its Java machine gets to compile what it runs often,
// more than ours because they need not settle.
const curatorWarmup = 300

//go:embed Handover.java
var handoverJava []byte

// curator is a Java program in which two contenders with Curator's LeaderLatch hand
// leadership over.
type curator struct {
	cmd     *exec.Cmd
	classes string
	in      io.WriteCloser
	out     *bufio.Scanner
	said    strings.Builder // what it said on standard error
}

// newCurator compiles and starts the program, and warms it up.
func newCurator(ctx context.Context, e rig.Ensemble) (_ *curator, err error) {
	javac, err := exec.LookPath("javac")
	for _, jar := range []string{recipesJar, loggerJar} {
		if err == nil {
			_, err = os.Stat(jar)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s (%w)", missing, err)
	}
	classes, err := os.MkdirTemp("", "handover-")
	if err != nil {
		return nil, err
	}
	c := &curator{classes: classes}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	source := filepath.Join(classes, "Handover.java")
	if err := os.WriteFile(source, handoverJava, 0o600); err != nil {
		return nil, err
	}
	//nolint:gosec // the arguments are this program's
	if out, err := exec.CommandContext(ctx, javac, "-proc:none", "-cp", recipesJar, "-d", classes, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile Handover.java: %w\n%s", err, out)
	}
	if err := c.start(ctx, e); err != nil {
		return nil, err
	}
	for range curatorWarmup {
		if _, err := c.round(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// start starts the program, and blocks until both contenders stand in line.
func (c *curator) start(ctx context.Context, e rig.Ensemble) error {
	//nolint:gosec // the arguments are this program's
	cmd := exec.CommandContext(ctx, "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:-UsePerfData",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", strings.Join([]string{c.classes, recipesJar, loggerJar}, ":"),
		"Handover", strings.Join(e.Servers, ","), e.Root+"/curator", strconv.FormatInt(e.SessionTimeout.Milliseconds(), 10))
	cmd.Stderr = &c.said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start Curator's contenders: %w", err)
	}
	c.cmd, c.in, c.out = cmd, in, bufio.NewScanner(out)
	_, err = c.answer()
	return err
}

// round returns the time from before the leader's LeaderLatch.close() until isLeader()
// of the other one's listener was called. It returns when both stand in line again.
func (c *curator) round() (time.Duration, error) {
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		return 0, c.failed(err)
	}
	line, err := c.answer()
	if err != nil {
		return 0, err
	}
	nanos, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		return 0, c.failed(err)
	}
	return time.Duration(nanos), nil
}

func (c *curator) answer() (string, error) {
	if !c.out.Scan() {
		return "", c.failed(errors.Join(c.out.Err(), io.EOF))
	}
	return c.out.Text(), nil
}

// failed ends the program, so that all it said is known.
func (c *curator) failed(err error) error {
	return fmt.Errorf("contenders with Curator: %w, they said %q", errors.Join(err, c.in.Close(), c.cmd.Wait()), c.said.String())
}

// close ends the program, and blocks until it has ended.
func (c *curator) close() {
	if c.cmd != nil && c.cmd.ProcessState == nil {
		_, _ = c.in.Close(), c.cmd.Wait() // what it ends with does not matter any more
	}
	_ = os.RemoveAll(c.classes) // a temporary folder
}
