package zookeepertest

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childDir makes the test binary a program that starts a server with its data in
// that folder, pauses it, says where it is, and waits to be killed.
const childDir = "ZOOKEEPERTEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, Run(func(tb TB) {
			s := StartServer(tb, DataDir(dir))
			s.Pause()
			fmt.Fprintln(os.Stdout, s.Addr())
			select {}
		}))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
