package jobmaster

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/coordd/coordd/job"
)

// What is kept of the output of a job's attempts: 64 KiB in all. Results keep
// what came first, as they are recorded; failures what came last.
const (
	maxOutput         = 4 << 10
	maxResultOutputs  = 48 << 10
	maxFailureOutputs = 16 << 10
	// maxErrorOutput is what a job's error quotes of the last line.
	maxErrorOutput = 256
)

// outputs keeps within the limits.
type outputs struct {
	results, failures int
	kept              []keptFailure
}

// keptFailure is a failed attempt whose output is in the view.
type keptFailure struct {
	subtask *subtask
	n, size int
}

// result returns what may be kept of a final task's output.
func (o *outputs) result(text string) string {
	text = lastBytes(text, min(maxOutput, maxResultOutputs-o.results))
	o.results += len(text)
	return text
}

// failure returns what may be kept of a failed attempt's output. It takes the room
// from the oldest ones.
func (o *outputs) failure(s *subtask, text string, v *view) string {
	text = lastBytes(text, maxOutput)
	if text == "" {
		return ""
	}
	for o.failures+len(text) > maxFailureOutputs {
		oldest := o.kept[0]
		o.kept = o.kept[1:]
		o.failures -= oldest.size
		if oldest.subtask.attempt.N == oldest.n {
			v.change(oldest.subtask, func(s *job.SubtaskSnapshot) { s.Output = "" })
		}
	}
	o.failures += len(text)
	o.kept = append(o.kept, keptFailure{subtask: s, n: s.attempt.N, size: len(text)})
	return text
}

// lastBytes returns the end of text, at most n bytes, beginning with a whole rune.
func lastBytes(text string, n int) string {
	if len(text) <= n {
		return text
	}
	text = text[len(text)-max(n, 0):]
	for text != "" && !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return text
}

// quoteLastLine returns the last line of an output for a one-line error.
func quoteLastLine(output string) string {
	output = strings.TrimSpace(output)
	line := output[strings.LastIndexByte(output, '\n')+1:]
	if line == "" {
		return ""
	}
	return "; its last output: " + strconv.Quote(lastBytes(line, maxErrorOutput))
}
