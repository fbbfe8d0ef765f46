package job

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxExpanded bounds what a YAML file may grow to when its aliases are followed, in
// values and letters. A file without aliases cannot reach it.
const maxExpanded = 4 * MaxFileSize

// decoder turns the values of a job file into a graph and notes what does not
// fit. What is empty counts as absent.
type decoder struct {
	problems problems
	// spent counts values and letters towards limit.
	spent, limit int
}

func (d *decoder) addf(n *node, path, format string, args ...any) {
	d.problems.add(Problem{Line: n.line, Column: n.column, Field: path, Message: fmt.Sprintf(format, args...)})
}

// spend accounts for a value before it is decoded, and reports whether there is
// room for it.
func (d *decoder) spend(n *node) bool {
	if d.spent > d.limit {
		return false
	}
	d.spent += 1 + len(n.text)
	if d.spent > d.limit {
		d.addf(n, "", "the file grows beyond %s bytes when its aliases are followed", thousands(d.limit))
		return false
	}
	return true
}

func (d *decoder) graph(root *node) Graph {
	var g Graph
	if root.kind != mapNode {
		d.addf(root, "", `must be a mapping with the fields name and tasks, but is %s`, root)
		return g
	}
	d.object(root, "", []string{"name", "tasks"}, func(name, path string, n *node) {
		switch name {
		case "name":
			g.Name = d.text(n, path)
		case "tasks":
			d.list(n, path, "tasks", func(path string, n *node) {
				g.Tasks = append(g.Tasks, d.task(n, path))
			})
		}
	})
	return g
}

func (d *decoder) task(n *node, path string) Task {
	var t Task
	names := []string{"id", "needs", "parallelism", "command", "func", "requires", "env", "dir", "timeout", "retry"}
	d.object(n, path, names, func(name, path string, n *node) {
		switch name {
		case "id":
			t.ID = d.text(n, path)
		case "needs":
			t.Needs = d.texts(n, path, "task ids")
		case "parallelism":
			t.Parallelism = d.integer(n, path)
		case "command":
			t.Command = d.command(n, path)
		case "func":
			t.Func = d.text(n, path)
		case "requires":
			t.Requires = d.requires(n, path)
		case "env":
			t.Env = d.named(n, path, `write "" for an empty value`)
		case "dir":
			t.Dir = d.text(n, path)
		case "timeout":
			t.Timeout = d.duration(n, path)
		case "retry":
			t.Retry = d.retry(n, path)
		}
	})
	return t
}

func (d *decoder) retry(n *node, path string) Retry {
	var r Retry
	d.object(n, path, []string{"attempts", "delay"}, func(name, path string, n *node) {
		switch name {
		case "attempts":
			r.Attempts = d.integer(n, path)
		case "delay":
			r.Delay = d.duration(n, path)
		}
	})
	return r
}

func (d *decoder) command(n *node, path string) []string {
	if n.kind == textNode {
		d.addf(n, path, "must be a list; for a shell command write [sh, -c, %s]", quote(n.text))
		return nil
	}
	return d.texts(n, path, "the program and its arguments")
}

// requires decodes labels. Other tools use the word for what is needs here.
func (d *decoder) requires(n *node, path string) map[string]string {
	if n.kind == listNode || n.kind == textNode {
		d.addf(n, path, `must be a mapping of labels, such as {gpu: "true"}, but is %s; the tasks to wait for stand in "needs"`, n)
		return nil
	}
	return d.named(n, path, `write the value that the label must have, such as "true"`)
}

// named decodes a mapping with names of the user's choice. remedy says what to write in
// place of an empty value.
func (d *decoder) named(n *node, path, remedy string) map[string]string {
	values := make(map[string]string, len(n.fields))
	d.object(n, path, nil, func(name, path string, n *node) {
		if n.kind == nullNode {
			d.addf(n, path, "is empty; %s", remedy)
			return
		}
		values[name] = d.text(n, path)
	})
	return values
}

// object calls set for each field of a mapping, once for each name. With known
// names it refuses others.
func (d *decoder) object(n *node, path string, known []string, set func(name, path string, n *node)) {
	if n.kind != mapNode {
		d.addf(n, path, "must be a mapping%s, but is %s", fieldList(known), n)
		return
	}
	first := make(map[string]int, len(n.fields))
	for _, f := range n.fields {
		at := &node{line: f.line, column: f.column}
		fpath := fieldPath(path, f.name)
		if line, twice := first[f.name]; twice {
			d.addf(at, fpath, "is given twice, first in line %d", line)
			continue
		}
		first[f.name] = f.line
		if known != nil && !slices.Contains(known, f.name) {
			d.addf(at, fpath, "unknown field%s", d.suggestField(f.name, known))
			continue
		}
		if f.value.kind == nullNode && known != nil {
			continue
		}
		if !d.spend(f.value) {
			return
		}
		set(f.name, fpath, f.value)
	}
}

func (d *decoder) suggestField(name string, known []string) string {
	if other := otherWord(name); slices.Contains(known, other) {
		return "; did you mean " + quote(other) + "?"
	}
	if s := didYouMean(name, known); s != "" {
		return s
	}
	return "; the fields here are " + strings.Join(known, ", ")
}

// fieldList names the fields that a mapping may have.
func fieldList(known []string) string {
	if len(known) == 0 {
		return ""
	}
	last := len(known) - 1
	return fmt.Sprintf(" with the fields %s and %s", strings.Join(known[:last], ", "), known[last])
}

// list calls add for each item. of says what the items are.
func (d *decoder) list(n *node, path, of string, add func(path string, n *node)) {
	if n.kind != listNode {
		d.addf(n, path, "must be a list of %s, but is %s", of, n)
		return
	}
	for i, item := range n.items {
		if !d.spend(item) {
			return
		}
		add(path+"["+strconv.Itoa(i)+"]", item)
	}
}

func (d *decoder) texts(n *node, path, of string) []string {
	var texts []string
	d.list(n, path, of, func(path string, n *node) {
		texts = append(texts, d.text(n, path))
	})
	return texts
}

// text decodes text, in YAML also a bare number or bool, as it was written.
func (d *decoder) text(n *node, path string) string {
	switch {
	case n.kind == textNode, n.bare && n.kind != nullNode:
		return n.text
	case n.kind == numberNode, n.kind == boolNode:
		d.addf(n, path, "must be text, but is %s; put it in quotes", n)
	case n.kind == nullNode:
		d.addf(n, path, `must be text, but is empty; write "" for an empty text`)
	default:
		d.addf(n, path, "must be text, but is %s", n)
	}
	return ""
}

func (d *decoder) integer(n *node, path string) int {
	v, err := strconv.Atoi(n.text)
	if err != nil || n.kind != numberNode {
		d.addf(n, path, "must be a whole number, but is %s", n)
		return 0
	}
	return v
}

func (d *decoder) duration(n *node, path string) Duration {
	var v Duration
	switch n.kind {
	case textNode:
		if err := v.UnmarshalText([]byte(n.text)); err != nil {
			d.addf(n, path, "%s", err.Error())
		}
	case numberNode:
		d.addf(n, path, `needs a unit, such as "%ss" or "%[1]sm", but is %s`, clip(n.text), n)
	default:
		d.addf(n, path, `must be a duration such as "10m" or "1.5s", but is %s`, n)
	}
	return v
}
