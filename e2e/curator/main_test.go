package curator

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests, or, in a process that a test has started, a contender.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == contenderCommand {
		os.Exit(contenderMain(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}
