package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// binary is the program under test, built once for all tests.
func binary() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("coordd-e2e-%d", os.Getpid()), "coordd")
}

func TestMain(m *testing.M) {
	build := exec.Command("go", "build", "-race", "-o", binary(), "../cmd/coordd")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build coordd: %v\n%s", err, out)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(filepath.Dir(binary()))
		os.Exit(code)
	}))
}
