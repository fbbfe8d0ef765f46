package job_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/job"
)

const etl = `
# the file of the documentation
name: etl
tasks:
  - id: extract
    parallelism: 3
    command: [sh, -c, "echo part $COORDD_SUBTASK"]
    env: {REGION: eu}
    timeout: 10m
    retry: {attempts: 3, delay: 1s}
  - id: load
    needs: [extract]
    command: [./load.sh]
`

func etlGraph() job.Graph {
	return job.Graph{Name: "etl", Tasks: []job.Task{
		{
			ID: "extract", Parallelism: 3, Command: []string{"sh", "-c", "echo part $COORDD_SUBTASK"},
			Env: map[string]string{"REGION": "eu"}, Timeout: job.Duration(10 * time.Minute),
			Retry: job.Retry{Attempts: 3, Delay: job.Duration(time.Second)},
		},
		{ID: "load", Needs: []string{"extract"}, Command: []string{"./load.sh"}},
	}}
}

func TestParseReadsEveryField(t *testing.T) {
	for name, text := range map[string]string{
		"etl.yaml": etl,
		"bom.yaml": "\ufeff" + etl,
		"etl.json": `{"name": "etl", "tasks": [
			{"id": "extract", "parallelism": 3, "command": ["sh", "-c", "echo part $COORDD_SUBTASK"],
			 "env": {"REGION": "eu"}, "timeout": "10m", "retry": {"attempts": 3, "delay": "1s"}},
			{"id": "load", "needs": ["extract"], "command": ["./load.sh"], "env": null}]}`,
		"crlf.yaml": strings.ReplaceAll(etl, "\n", "\r\n"),
	} {
		got, err := job.Parse(name, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if want := etlGraph(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestParseTakesBareScalarsAsWritten(t *testing.T) {
	g, err := job.Parse("x.yaml", []byte(`
name: 2024
tasks:
- id: 1
  command: [sleep, 2, 0x10, 1.50, true, no, 2024-01-01]
  env: &env {N: 010, EMPTY: ""}
- id: b
  command: &run
  - sh
  - -c
  - |
    echo one
    echo two
  env: *env
  requires: {gpu: true, cores: 010, zone/a.b: north-1}
  needs:
- id: c
  func: 7
  command: []
  requires: {}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"sleep", "2", "0x10", "1.50", "true", "no", "2024-01-01"}
	if got := g.Tasks[0].Command; !reflect.DeepEqual(got, want) {
		t.Errorf("command is %q, want %q", got, want)
	}
	if g.Name != "2024" || g.Tasks[0].ID != "1" {
		t.Errorf("name %q, id %q, want 2024 and 1", g.Name, g.Tasks[0].ID)
	}
	if got := g.Tasks[1].Command[2]; got != "echo one\necho two\n" {
		t.Errorf("script is %q, want both lines", got)
	}
	if got := g.Tasks[1].Env; !reflect.DeepEqual(got, map[string]string{"N": "010", "EMPTY": ""}) {
		t.Errorf("env through an alias is %v, want N and EMPTY", got)
	}
	if got, want := g.Tasks[1].Requires, map[string]string{"gpu": "true", "cores": "010", "zone/a.b": "north-1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("requires is %v, want %v", got, want)
	}
	if got := g.Tasks[2]; got.Func != "7" || got.Command != nil || len(got.Requires) > 0 {
		t.Errorf("task c is %+v, want the function 7 alone", got)
	}
}

// TestParseRefuses shows messages that testdata/bad does not.
func TestParseRefuses(t *testing.T) {
	const head = "name: x\ntasks:\n- {id: a, command: [x]}\n"
	for name, c := range map[string]struct{ text, want string }{
		"number without unit": {head + "- {id: b, command: [x], timeout: 10}",
			`line 4: tasks[1].timeout: needs a unit, such as "10s" or "10m", but is the number 10`},
		"shell command as text": {head + "- {id: b, command: echo hello}",
			`line 4: tasks[1].command: must be a list; for a shell command write [sh, -c, "echo hello"]`},
		"another tool's word": {head + "- {id: b, command: [x], depends_on: [a]}",
			`line 4: tasks[1].depends_on: unknown field; did you mean "needs"?`},
		"field unlike any other": {head + "color: red",
			`line 4: color: unknown field; the fields here are name, tasks`},
		"fraction": {head + "- {id: b, command: [x], parallelism: 1.5}",
			`line 4: tasks[1].parallelism: must be a whole number, but is the number 1.5`},
		"needs itself": {head + "- {id: b, command: [x], needs: [b]}",
			`line 4: tasks[1].needs[0]: task "b" needs itself`},
		"needs twice": {head + "- {id: b, command: [x], needs: [a, a]}",
			`line 4: tasks[1].needs[1]: "a" is listed twice`},
		"letter of an id": {head + "- {id: a b, command: [x]}",
			`line 4: tasks[1].id: "a b" contains ' '; use letters, digits, '.', '_' and '-', and start with a letter or a digit`},
		"begin of an id": {head + "- {id: .b, command: [x]}",
			`line 4: tasks[1].id: ".b" starts with '.'; use letters, digits, '.', '_' and '-', and start with a letter or a digit`},
		"negative parallelism": {head + "- {id: b, command: [x], parallelism: -1}",
			`line 4: tasks[1].parallelism: is -1; it must be from 1 to 100,000`},
		"too many attempts": {head + "- {id: b, command: [x], retry: {attempts: 1001}}",
			`line 4: tasks[1].retry.attempts: is 1,001; it must be from 1 to 1,000`},
		"negative delay": {head + "- id: b\n  command: [x]\n  retry:\n    delay: -1s",
			`line 7: tasks[1].retry.delay: is -1s; it must not be negative`},
		"env name": {head + "- id: b\n  command: [x]\n  env:\n    OK: 1\n    A-B: 1",
			`line 8: tasks[1].env.A-B: "A-B" is not a variable's name; use letters, digits and '_', and do not start with a digit`},
		"env name with a dot": {head + "- id: b\n  command: [x]\n  env:\n    OK: 1\n    a.b: 1",
			`line 8: tasks[1].env["a.b"]: "a.b" is not a variable's name; use letters, digits and '_', and do not start with a digit`},
		"env of coordd": {head + "- {id: b, command: [x], env: {COORDD_EPOCH: 1}}",
			`line 4: tasks[1].env.COORDD_EPOCH: is set by coordd for every task; choose another name`},
		"empty env value": {head + "- {id: b, command: [x], env: {A: }}",
			`line 4: tasks[1].env.A: is empty; write "" for an empty value`},
		"func beside command": {head + "- id: b\n  command: [x]\n  func: load",
			`line 6: tasks[1].func: is given beside command; a task runs either a command or a function, so remove one of them`},
		"letter of a func": {head + "- {id: b, func: load data}",
			`line 4: tasks[1].func: a function's name has letters, digits, '.', '_', '-' and '/' only, but "load data" contains ' '`},
		"long func": {head + "- {id: b, func: " + strings.Repeat("f", 129) + "}",
			`line 4: tasks[1].func: a function's name has 129 characters; at most 128 are allowed`},
		"another tool's function": {head + "- {id: b, function: load}",
			`line 4: tasks[1].function: unknown field; did you mean "func"?`},
		"another tool's labels": {head + "- {id: b, command: [x], labels: {gpu: true}}",
			`line 4: tasks[1].labels: unknown field; did you mean "requires"?`},
		"requires as needs": {head + "- {id: b, command: [x], requires: [a]}",
			`line 4: tasks[1].requires: must be a mapping of labels, such as {gpu: "true"}, but is a list; ` +
				`the tasks to wait for stand in "needs"`},
		"label without a value": {head + "- {id: b, command: [x], requires: {gpu: }}",
			`line 4: tasks[1].requires.gpu: is empty; write the value that the label must have, such as "true"`},
		"label with an empty value": {head + "- id: b\n  command: [x]\n  requires:\n    a: 1\n    a.b/c: ''",
			`line 8: tasks[1].requires["a.b/c"]: is empty; write the value that the label must have, such as "true"`},
		"letter of a label": {head + "- {id: b, command: [x], requires: {a b: c}}",
			`line 4: tasks[1].requires["a b"]: a label's name has letters, digits, '.', '_', '-' and '/' only, but "a b" contains ' '`},
		"letter of a label's value": {head + "- {id: b, command: [x], requires: {a: c=d}}",
			`line 4: tasks[1].requires.a: a label's value has letters, digits, '.', '_', '-' and '/' only, but "c=d" contains '='`},
		"long label": {head + "- {id: b, command: [x], requires: {" + strings.Repeat("l", 64) + ": x}}",
			"line 4: tasks[1].requires." + strings.Repeat("l", 64) + ": a label's name has 64 characters; at most 63 are allowed"},
		"nested label": {head + "- {id: b, command: [x], requires: {a: {b: c}}}",
			`line 4: tasks[1].requires.a: must be text, but is a mapping`},
		"empty program": {head + `- {id: b, command: [""]}`,
			`line 4: tasks[1].command[0]: is empty; it must name the program to run`},
		"NUL": {head + `- {id: b, command: [x, "a\0b"]}`,
			`line 4: tasks[1].command[1]: "a\x00b" contains a NUL character, which no command can be given`},
		"missing name": {"tasks:\n- {id: a, command: [x]}",
			`line 1: name: is missing; give the job a name for people to read`},
		"two documents": {head + "---\nname: y",
			`line 5: another document begins; a file holds one job`},
		"alias into itself": {"name: &n [*n]", `line 1: there is no anchor &n before the alias *n`},
		"merge key":         {"<<: {name: x}", `line 1: merge keys (<<) are not supported; use an alias for a whole value`},
		"tag":               {"name: !!str x", `line 1: tags such as "!!str" are not supported`},
		"not UTF-8":         {"name: x\ntasks: \xff", `line 2: is not text in UTF-8`},
		"only comments":     {"# name: x\n", `is empty; a job needs a name and at least one task`},
		"two problems": {head + "- {id: a, command: []}",
			`2 problems: line 4: tasks[1].command: is missing; write the program and its arguments, such as ` +
				`[sh, -c, "echo hello"]; line 4: tasks[1].id: "a" is the id of tasks[0] too; each task needs its own`},
	} {
		_, err := job.Parse("x.yaml", []byte(c.text))
		if err == nil || err.Error() != "x.yaml: "+c.want {
			t.Errorf("%s:\n got %v\nwant x.yaml: %s", name, err, c.want)
		}
	}
}

func TestParseBoundsItsProblems(t *testing.T) {
	text := "name: x\ntasks:\n" + strings.Repeat("- {}\n", 500)
	_, err := job.Parse("x.yaml", []byte(text))
	var invalid *job.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Problems) != job.MaxProblems || invalid.Omitted < 900 {
		t.Fatalf("got %v, want %d problems and the others counted", err, job.MaxProblems)
	}
	if !strings.HasPrefix(err.Error(), fmt.Sprintf("x.yaml: %d problems: line 3: ", 10+invalid.Omitted)) {
		t.Errorf("got %v, want the number of all problems and the first line", err)
	}
}

// TestParseIsBounded gives it what is costly to read. Each of these took from
// seconds to hours, or gigabytes, when unguarded; the message shows that the
// guard saw it.
func TestParseIsBounded(t *testing.T) {
	const size = job.MaxFileSize / 8
	fill := func(head, part string) string { return head + strings.Repeat(part, (size-len(head))/len(part)) }
	var wide strings.Builder
	for i := 0; wide.Len() < size; i++ {
		fmt.Fprintf(&wide, "a%d: 1\n", i)
	}
	list := "*a" + strings.Repeat(", *a", 10_000)
	for name, c := range map[string]struct{ text, want string }{
		"too large":       {strings.Repeat("a", job.MaxFileSize+1), "has 1,048,577 bytes; at most 1,048,576 are allowed"},
		"nested lists":    {fill("", "["), "nested more than 64 levels"},
		"nested mappings": {fill("", "{a: "), "nested more than 64 levels"},
		"nested entries":  {fill("", "- "), "nested more than 64 levels"},
		"nested keys":     {fill("", "a: "), "nested more than 64 levels"},
		"nested JSON":     {fill("", `{"a":`), "nested more than 64 levels"},
		"wide mapping":    {wide.String(), "more than 1,010 fields"},
		"many mappings":   {fill("", "- x:\n"+strings.Repeat("  a:\n", 1000)), "too many fields in all"},
		"scalars":         {fill("", `"" `), "follow one another"},
		"documents":       {fill("", "---\n"), "another document begins"},
		"aliases": {"name: x\ntasks:\n- {id: &a 0123456789, command: &list [" + list + "]}\n" +
			strings.Repeat("- {id: b, command: *list}\n", 5000), "grows beyond 4,194,304 bytes"},
	} {
		_, err := job.Parse("x.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
}

func TestParseReadsTheLargestJob(t *testing.T) {
	var b strings.Builder
	b.WriteString("name: large\ntasks:\n")
	for i := range job.MaxTasks {
		fmt.Fprintf(&b, "- {id: task-%d, parallelism: 10, command: [sh, -c, \"echo $COORDD_SUBTASK\"]", i)
		if i > 0 {
			fmt.Fprintf(&b, ", needs: [task-%d]", i-1)
		}
		b.WriteString("}\n")
	}
	g, err := job.Parse("large.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Subtasks(); got != job.MaxSubtasks {
		t.Errorf("%d subtasks, want %d", got, job.MaxSubtasks)
	}
	if got := g.Order(); len(got) != job.MaxTasks || got[job.MaxTasks-1] != "task-9999" {
		t.Errorf("a chain of %d tasks is ordered as %d tasks", job.MaxTasks, len(got))
	}
	g.Tasks = append(g.Tasks, job.Task{ID: "more", Command: []string{"x"}})
	const want = "invalid job: tasks: there are 10,001 tasks; at most 10,000 are allowed"
	if err := g.Validate(); err == nil || err.Error() != want {
		t.Errorf("one task more: %v, want %s", err, want)
	}
}

func TestAFileOfJSONMayBeLargerThanOneOfYAML(t *testing.T) {
	pad := func(size int, format string) string {
		empty := fmt.Sprintf(format, "")
		return fmt.Sprintf(format, strings.Repeat("x", size-len(empty)))
	}
	const yaml = "name: x\ntasks: [{id: a, command: [echo, %s]}]\n"
	const asJSON = `{"name":"x","tasks":[{"id":"a","command":["echo","%s"]}]}`
	for _, c := range []struct{ what, data, want string }{
		{"the largest YAML", pad(job.MaxFileSize, yaml), ""},
		{"the largest JSON", pad(job.MaxJSONSize, asJSON), ""},
		{"larger YAML", pad(job.MaxFileSize+1, yaml), "has 1,048,577 bytes; at most 1,048,576 are allowed; JSON may have 8,388,608"},
		{"larger JSON", pad(job.MaxJSONSize+1, asJSON), "has 8,388,609 bytes; at most 8,388,608 are allowed"},
	} {
		_, err := job.Parse("", []byte(c.data))
		if (err == nil) != (c.want == "") || err != nil && !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

func TestParseJSONHasNoLines(t *testing.T) {
	_, err := job.ParseJSON([]byte("{\"name\": \"x\",\n\"tasks\": [{\"id\": \"a\", \"comand\": [1]}]}"))
	const want = `invalid job: tasks[0].comand: unknown field; did you mean "command"?`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = job.ParseJSON([]byte(`name: x`))
	if err == nil || !strings.HasPrefix(err.Error(), "invalid job: is not valid JSON: ") {
		t.Errorf("YAML: got %v, want that it is not JSON", err)
	}
	_, err = job.ParseJSON([]byte(`{"name":"x","tasks":[{"id":"a","command":["sleep",2]}]}`))
	if err == nil || !strings.Contains(err.Error(), "tasks[0].command[1]: must be text, but is the number 2") {
		t.Errorf("number as text: got %v, want it refused in JSON", err)
	}
}
