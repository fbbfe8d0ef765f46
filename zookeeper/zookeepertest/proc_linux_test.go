package zookeepertest

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestServersDieWithATestThatIsKilled(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child said no address: %v", err)
	}
	addr := strings.TrimSpace(line)
	conn, err := net.Dial("tcp", addr) // a paused server still has its port
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	await(t, "the end of the server", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}
