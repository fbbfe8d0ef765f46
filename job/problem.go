package job

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxProblems is how many problems an InvalidError lists; the others are only
// counted.
const MaxProblems = 10

// InvalidError says why a graph, a job file or an ID was refused. It lists
// several problems at once, so that a file can be mended in one go.
type InvalidError struct {
	// Source names the input, such as a file's name; empty for a graph that did
	// not come from a file.
	Source string
	// Problems holds at least one and at most MaxProblems entries.
	Problems []Problem
	// Omitted is the number of further problems.
	Omitted int
}

// Error returns all problems in one line.
func (e *InvalidError) Error() string {
	var b strings.Builder
	if e.Source == "" {
		b.WriteString("invalid job")
	} else {
		b.WriteString(e.Source)
	}
	b.WriteString(": ")
	if n := len(e.Problems) + e.Omitted; n > 1 {
		fmt.Fprintf(&b, "%d problems: ", n)
	}
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p.String())
	}
	if e.Omitted > 0 {
		fmt.Fprintf(&b, "; and %d more", e.Omitted)
	}
	return b.String()
}

// Problem is one thing that is wrong with a job.
type Problem struct {
	// Line and Column are where in the file, counted from 1, and zero when there
	// is no file. For a missing field they are those of what it is missing from.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Field is the path of the field, such as "tasks[1].command", and empty when
	// the whole file is meant.
	Field string `json:"field,omitempty"`
	// Message says in plain words what is wrong and what would be right.
	Message string `json:"message"`
}

// String returns the problem as "line 4: tasks[1].command: ...", in one line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		b.WriteString("line " + strconv.Itoa(p.Line) + ": ")
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// problems collects what is wrong, up to MaxProblems.
type problems struct {
	list    []Problem
	omitted int
}

// full reports whether a further problem would only be counted; what is costly
// to say need not be said then.
func (p *problems) full() bool { return len(p.list) == MaxProblems }

func (p *problems) add(q Problem) {
	if p.full() {
		p.omitted++
		return
	}
	p.list = append(p.list, q)
}

// addf adds a problem without a place; Parse finds it by its field.
func (p *problems) addf(field, format string, args ...any) {
	p.add(Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

// err returns the problems as an error, nil when there are none.
func (p *problems) err(source string) error {
	if len(p.list) == 0 {
		return nil
	}
	return &InvalidError{Source: source, Problems: p.list, Omitted: p.omitted}
}

// quote shows a value of the user's in a message: in one line, and clipped.
func quote(s string) string {
	const limit = 60
	if len(s) <= limit {
		return strconv.Quote(s)
	}
	end := limit
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return strconv.Quote(s[:end]) + "..."
}

// thousands writes n with commas, as limits are easier to read so.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
