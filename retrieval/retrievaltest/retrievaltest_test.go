package retrievaltest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faultVariable names the fault of the backend that TestSuite tests; unset, it
// has none.
const faultVariable = "RETRIEVALTEST_FAULT"

func TestSuite(t *testing.T) {
	Run(t, func(*testing.T) Harness { return newMemory(os.Getenv(faultVariable)) })
	RunForged(t, func(*testing.T) Forger { return newMemory(os.Getenv(faultVariable)) })
}

func TestSuiteFailsOnABrokenBackend(t *testing.T) {
	for fault, c := range map[string]struct{ only, words string }{
		"ends without error":        {"", "Follow returned <nil>"},
		"none has no index":         {"", "index 0 of none after"},
		"components are mixed up":   {"only_the_component", "want a leader of x"},
		"unconfirmed has a leader":  {"", "want no info with this status"},
		"unconfirmed when away":     {"a_lost_backend", "panic: test timed out"},
		"none when away":            {"a_lost_backend", "panic: test timed out"},
		"address stands for leader": {"a_new_term_at", "panic: test timed out"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			// Some faults can only show by a case that waits in vain.
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuite$/"+c.only, "-test.timeout=3s")
			cmd.Env = append(os.Environ(), faultVariable+"="+fault)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.words) {
				t.Errorf("the suite on a backend where %s: %v, want a failure that says %q:\n%s", fault, err, c.words, out)
			}
		})
	}
}
