package electiontest

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
const faultVariable = "ELECTIONTEST_FAULT"

func TestSuite(t *testing.T) {
	Run(t, func(*testing.T) Harness { return newMemory(os.Getenv(faultVariable)) })
}

func TestSuiteFailsOnABrokenBackend(t *testing.T) {
	for fault, words := range map[string]string{
		"nothing is fenced":          "zero guard was stored",
		"publishing is not fenced":   "Publish after the loss returned <nil>",
		"epochs repeat":              "granted epoch 1 after epoch 1",
		"order is not kept":          "who came before",
		"everybody leads":            "was granted leadership while",
		"loss has another cause":     "want ErrSessionExpired",
		"infos are kept":             "want nothing",
		"cancelled candidacies stay": "candidacies, want",

		"participants are not in order":     "sees the participants",
		"shown epochs are not led with":     "but was shown with",
		"nothing is transferred":            "returned <nil> while a leads on",
		"a transfer takes the next instead": "over b and c to d",
		"unknown targets are accepted":      "want ErrNotContending",
		"requests outlive their context":    "nobody should have asked it to give way",
		"a transfer is told as a loss":      "when a transfer was asked for, want ErrResigned",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuite$", "-test.failfast")
			cmd.Env = append(os.Environ(), faultVariable+"="+fault)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), words) {
				t.Errorf("the suite on a backend where %s: %v, want a failure that says %q:\n%s", fault, err, words, out)
			}
		})
	}
}
