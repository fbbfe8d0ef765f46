package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// fromJSON reads one JSON value and nothing after it.
func fromJSON(data []byte) (*node, *Problem) {
	var all json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		problem := &Problem{Message: "is not valid JSON: " + err.Error()}
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			problem.Line, problem.Column = lineColumn(data, int(syntax.Offset)-1)
		}
		return nil, problem
	}
	r := jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.dec.UseNumber()
	return r.value(0)
}

// jsonReader reads values from JSON that is known to be well-formed.
type jsonReader struct {
	data []byte
	dec  *json.Decoder
	// line is the number of the line in which the byte at stands, before the number
	// of characters in front of it. They are counted once, as a file may have one line.
	at, line, before int
}

// token returns the next token and moves to its place.
func (r *jsonReader) token() (json.Token, *Problem) {
	offset := int(r.dec.InputOffset())
	for offset < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[offset]) >= 0 {
		offset++
	}
	for ; r.at < offset; r.at++ {
		switch {
		case r.data[r.at] == '\n':
			r.line, r.before = r.line+1, 0
		case utf8.RuneStart(r.data[r.at]):
			r.before++
		}
	}
	tok, err := r.dec.Token()
	if err != nil {
		return nil, &Problem{Line: r.line, Column: r.column(), Message: "is not valid JSON: " + err.Error()}
	}
	return tok, nil
}

func (r *jsonReader) column() int { return r.before + 1 }

func (r *jsonReader) value(depth int) (*node, *Problem) {
	tok, problem := r.token()
	if problem != nil {
		return nil, problem
	}
	n := &node{line: r.line, column: r.column()}
	if depth > maxDepth {
		return nil, tooDeep(n.line)
	}
	switch v := tok.(type) {
	case string:
		n.kind, n.text = textNode, v
	case json.Number:
		n.kind, n.text = numberNode, v.String()
	case bool:
		n.kind, n.text = boolNode, fmt.Sprint(v)
	case json.Delim:
		if v == '[' {
			n.kind = listNode
			return n, r.list(n, depth)
		}
		n.kind = mapNode
		return n, r.object(n, depth)
	}
	return n, nil
}

func (r *jsonReader) list(n *node, depth int) *Problem {
	for r.dec.More() {
		item, problem := r.value(depth + 1)
		if problem != nil {
			return problem
		}
		n.items = append(n.items, item)
	}
	_, problem := r.token()
	return problem
}

func (r *jsonReader) object(n *node, depth int) *Problem {
	for r.dec.More() {
		tok, problem := r.token()
		if problem != nil {
			return problem
		}
		name, _ := tok.(string) // well-formed JSON has no other keys
		f := field{name: name, line: r.line, column: r.column()}
		if f.value, problem = r.value(depth + 1); problem != nil {
			return problem
		}
		n.fields = append(n.fields, f)
	}
	_, problem := r.token()
	return problem
}

func tooDeep(line int) *Problem {
	return &Problem{Line: line, Message: fmt.Sprintf("is nested more than %d levels deep", maxDepth)}
}

// lineColumn returns the place of the byte at an offset, counted from 1.
func lineColumn(data []byte, offset int) (line, column int) {
	before := data[:min(max(offset, 0), len(data))]
	begin := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[begin:]) + 1
}
