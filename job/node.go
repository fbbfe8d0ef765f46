package job

import (
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of a job file. A graph needs 5 levels.
const maxDepth = 64

// node is a value of a job file, read from YAML or JSON. Values that aliases
// share are one node.
type node struct {
	kind nodeKind
	// line and column are where the value begins, counted from 1.
	line, column int
	// text is a scalar as it was written, without its quotes.
	text string
	// bare says that a number or a bool stood without quotes in YAML, where it
	// may be meant as text: [sleep, 2].
	bare   bool
	items  []*node
	fields []field
}

type nodeKind int

const (
	nullNode nodeKind = iota
	textNode
	numberNode
	boolNode
	listNode
	mapNode
)

// field is an entry of a mapping; an invalid file may have several of one name.
type field struct {
	name         string
	line, column int
	value        *node
}

// String says what the value is, in words that fit after "must be ..., but is".
func (n *node) String() string {
	switch n.kind {
	case textNode:
		return "the text " + quote(n.text)
	case numberNode:
		return "the number " + clip(n.text)
	case boolNode:
		return n.text
	case listNode:
		return "a list"
	case mapNode:
		return "a mapping"
	default:
		return "empty"
	}
}

// clip shortens a scalar without quoting it, as it has no spaces.
func clip(s string) string { return strings.Trim(quote(s), `"`) }

// locate returns the place of the field at a path such as "tasks[1].needs[0]",
// or of the nearest thing around it that is there.
func (n *node) locate(path string) (line, column int) {
	line, column = n.line, n.column
	for path != "" {
		var step string
		step, path = nextStep(path)
		var ok bool
		if n, line, column, ok = n.child(step, line, column); !ok {
			break
		}
	}
	return line, column
}

// child returns the value below a step and its place; without one, the place
// that was given.
func (n *node) child(step string, line, column int) (*node, int, int, bool) {
	if i, err := strconv.Atoi(strings.Trim(step, "[]")); err == nil && n.kind == listNode && i < len(n.items) {
		item := n.items[i]
		return item, item.line, item.column, true
	}
	for _, f := range n.fields {
		if fieldPath("", f.name) == step {
			return f.value, f.line, f.column, true
		}
	}
	return n, line, column, false
}

// nextStep cuts the first step from a path: "tasks", "[1]", or `["odd name"]`.
func nextStep(path string) (step, rest string) {
	path = strings.TrimPrefix(path, ".")
	if strings.HasPrefix(path, `["`) {
		if quoted, err := strconv.QuotedPrefix(path[1:]); err == nil && strings.HasPrefix(path[1+len(quoted):], "]") {
			end := len(quoted) + 2
			return path[:end], path[end:]
		}
	}
	if end := strings.IndexAny(path[1:], ".["); end >= 0 {
		return path[:end+1], path[end+1:]
	}
	return path, ""
}

// fieldPath returns the path of a field of a mapping; a name that could be
// mistaken for more than one step is quoted.
func fieldPath(path, name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r != '_' && r != '-' && !letterOrDigit(r) }) {
		return path + "[" + strconv.Quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}
