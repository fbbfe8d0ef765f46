package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coordd/coordd/job"
)

// note is the shell text by which a command says that it has started. One short
// write to a file that is open for appending is not torn.
const note = `echo "$COORDD_JOB_ID $COORDD_TASK $COORDD_SUBTASK $COORDD_EPOCH $COORDD_ATTEMPT $PPID ${EPOCHREALTIME/[,.]/}" >> "$RUNS"; `

// started is one start of a subtask's command, in its own words.
type started struct {
	job     job.ID
	task    string
	subtask int
	epoch   int64
	attempt int
	worker  int // the process that started it
	at      time.Time
}

func (r started) String() string {
	return fmt.Sprintf("%s/%d of %s, attempt %d of epoch %#x, at %s", r.task, r.subtask, r.job, r.attempt, r.epoch, r.at.UTC().Format(time.StampMicro))
}

// readRuns reads what the commands wrote down, in order.
func readRuns(path string) ([]started, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the commands' starts: %w", err)
	}
	var runs []started
	for line := range strings.Lines(string(bytes.TrimSpace(data))) {
		r, err := parseRun(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%s: line %q: %w", path, line, err)
		}
		runs = append(runs, r)
	}
	return runs, nil
}

func parseRun(line string) (r started, err error) {
	f := strings.Fields(line)
	if len(f) != 7 {
		return r, fmt.Errorf("%d fields, want 7", len(f))
	}
	r.job, r.task = job.ID(f[0]), f[1]
	numbers := make([]int64, 5)
	for i, text := range f[2:] {
		if numbers[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return r, err
		}
	}
	r.subtask, r.epoch, r.attempt, r.at = int(numbers[0]), numbers[1], int(numbers[2]), time.UnixMicro(numbers[4])
	r.worker = int(numbers[3])
	return r, nil
}
