package e2e

import (
	"strings"
	"testing"
)

// wide hands 60 results of 60 KiB on to 12 subtasks, which makes 43 MiB for one worker
// to be told at once: four times of what a message may have.
const wide = `
name: wide
tasks:
  - id: make
    parallelism: 60
    command: [sh, -c, 'head -c 61440 /dev/zero | tr "\0" $(printf %x $((COORDD_SUBTASK % 16))) > $COORDD_OUTPUT']
  - id: take
    parallelism: 12
    needs: [make]
    command: [sh, -c, 'cat $COORDD_INPUTS/make/* | wc -c']
`

// greedy has a result that is too large.
const greedy = `
name: greedy
tasks:
  - id: make
    command: [sh, -c, 'head -c 65537 /dev/zero > $COORDD_OUTPUT']
`

func TestResultsBeyondTheSizeOfAMessageAreHandedOn(t *testing.T) {
	t.Parallel()
	c := startSeparate(t, 1, 1)
	awaitLeader(t, 0, c.agents...)
	c.submit(t, wide, "wide")
	snap := c.wait(t, "wide")
	for _, s := range snap.Tasks[1].Subtasks {
		if got := strings.TrimSpace(s.Output); got != "3686400" {
			t.Errorf("subtask %d was handed %s bytes, want 60 times 61440", s.Index, got)
		}
	}
	c.submit(t, greedy, "greedy")
	wantExit(t, 2, "job", "wait", "greedy", "--address", addresses(c.agents...))
	if failed := status(t, "greedy", c.agents...); !strings.Contains(failed.Error, "65537 bytes; at most 65536") {
		t.Errorf("the job failed with %q, want that its result is too large", failed.Error)
	}
}
