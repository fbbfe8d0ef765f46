package contest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"sync/atomic"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// StartProcess starts a server from the PATH, which is killed at the end of tb. Remedy
// says what to do when there is no such program.
func StartProcess(tb zookeepertest.TB, remedy, program string, args ...string) {
	path, err := exec.LookPath(program)
	if err != nil {
		tb.Fatalf("%v: %s", err, remedy)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, args...)
	if err := cmd.Start(); err != nil {
		cancel()
		tb.Fatalf("start %s: %v", program, err)
	}
	tb.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it says that the process was killed
	})
}

// FreePorts returns ports on loopback that nobody listens on.
func FreePorts(tb zookeepertest.TB, n int) []int {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatalf("find a port: %v", err)
		}
		defer l.Close()
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			tb.Fatalf("a port of %v", l.Addr())
		}
		ports = append(ports, addr.Port)
	}
	return ports
}

// Counter counts the requests that pass through it.
type Counter struct {
	// Next sends them.
	Next http.RoundTripper
	// Total is how many there were.
	Total *atomic.Int64
}

// RoundTrip counts and passes on.
func (c Counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.Total.Add(1)
	return c.Next.RoundTrip(r)
}

// Count returns a Requests function for clients in this process that use a Counter.
func Count(total *atomic.Int64) func(context.Context, string) (float64, error) {
	return func(context.Context, string) (float64, error) { return float64(total.Load()), nil }
}

// Remedy says how to build a server that no package of Debian has.
func Remedy(name string) string {
	return fmt.Sprintf("build it: bench/peers/build-server %s DIR, and put DIR into the PATH", name)
}
