package jobmaster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// What is kept of the output of a job's attempts: 64 KiB in all. Successes keep
// what came first, as they are recorded, each counting textAllowance more for the
// value that holds it; failures what came last.
const (
	maxOutput         = 4 << 10
	maxResultOutputs  = 48 << 10
	maxFailureOutputs = 16 << 10
	textAllowance     = 64
	// maxErrorOutput is what a job's error quotes of the last line.
	maxErrorOutput = 256
)

// resultCost is what a result counts against job.MaxResults. Names count five times:
// the names of all outputs of a job are listed in one message of the backend.
func resultCost(task string, result []byte) int { return len(result) + 5*(len(task)+10) }

// outputs keeps within the limits.
type outputs struct {
	texts, failures int
	kept            []keptFailure
	// results is what all results of the job count, final those of the tasks that
	// nothing needs.
	results, final int
}

// keptFailure is a failed attempt whose output is in the view.
type keptFailure struct {
	subtask *subtask
	n, size int
}

// success returns what is kept of a success, nil for nothing, and what its result
// counts. The error says which limit the result exceeds; then nothing is kept.
func (o *outputs) success(s *subtask, end gateway.AttemptEnd) (kept *jobstore.Output, cost int, err error) {
	if len(end.Result) > 0 {
		cost = resultCost(s.task.spec.ID, end.Result)
	}
	switch total := o.results + cost; {
	case len(end.Result) > job.MaxResult:
		return nil, 0, fmt.Errorf("its result has %d bytes; at most %d are allowed", len(end.Result), job.MaxResult)
	case cost > 0 && total > job.MaxResults:
		return nil, 0, fmt.Errorf("with its result of %d bytes the job's results count %d bytes; at most %d are allowed", len(end.Result), total, job.MaxResults)
	case cost > 0 && s.task.final() && o.final+cost > job.MaxFinalResults:
		return nil, 0, fmt.Errorf("with its result of %d bytes the results of the tasks that nothing needs count %d bytes; at most %d are allowed",
			len(end.Result), o.final+cost, job.MaxFinalResults)
	}
	o.results += cost
	text := ""
	if s.task.final() {
		o.final += cost
		text = o.text(end.Output)
	}
	if cost == 0 && text == "" {
		return nil, 0, nil
	}
	return &jobstore.Output{Task: s.task.spec.ID, Subtask: s.index, Text: text, Result: end.Result}, cost, nil
}

// restore takes up what is stored of a success.
func (o *outputs) restore(s *subtask, kept jobstore.Output) {
	if s.task.final() && len(kept.Result) > 0 {
		o.final += resultCost(s.task.spec.ID, kept.Result)
	}
	if kept.Text != "" {
		o.texts += len(kept.Text) + textAllowance
	}
}

// text returns what may be kept of a final task's output.
func (o *outputs) text(text string) string {
	text = lastBytes(text, min(maxOutput, maxResultOutputs-o.texts-textAllowance))
	if text != "" {
		o.texts += len(text) + textAllowance
	}
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
		if oldest.subtask.attempt.N == oldest.n && !oldest.subtask.finished {
			v.change(oldest.subtask, func(s *job.SubtaskSnapshot) { s.Output = "" })
		}
	}
	o.failures += len(text)
	o.kept = append(o.kept, keptFailure{subtask: s, n: s.attempt.N, size: len(text)})
	return text
}

// wanted says whether a task that needs this one has not finished.
func (t *task) wanted() bool { return t.users > 0 }

// keep holds a result for the tasks that need it.
func (t *task) keep(o *jobstore.Output) {
	if o != nil && len(o.Result) > 0 && t.wanted() {
		t.results = append(t.results, gateway.Input{Task: o.Task, Subtask: o.Subtask, Data: o.Result})
	}
}

// gather makes the inputs of a task whose needs have all finished.
func (t *task) gather() {
	t.inputs, t.inputSize = nil, 0
	for _, need := range t.needs {
		slices.SortFunc(need.results, func(a, b gateway.Input) int { return a.Subtask - b.Subtask })
		for _, in := range need.results {
			t.inputs = append(t.inputs, in)
			t.inputSize += len(in.Data) + len(in.Task) + deploymentAllowance
		}
	}
}

// forget drops what nothing needs any more, once, when the task has finished.
func (t *task) forget() {
	t.inputs, t.inputSize = nil, 0
	for _, need := range t.needs {
		if need.users--; need.users == 0 {
			need.results = nil
		}
	}
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
