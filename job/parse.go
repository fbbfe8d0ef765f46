package job

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"unicode/utf8"
)

// The greatest sizes of a job file, in bytes. YAML takes many times its size in memory
// to read; programs that make large graphs write JSON.
const (
	MaxFileSize = 1 << 20
	MaxJSONSize = 8 << 20
)

// Parse reads a job file, as YAML or as JSON, and validates it. The format is in
// the package's documentation. The name appears in errors and says which format
// it is: JSON when it ends in ".json", and otherwise JSON only if the data is
// just that. The error is an *InvalidError that lists several problems with
// their lines. Time and memory are bounded, whatever the data.
func Parse(name string, data []byte) (Graph, error) {
	if path.Ext(name) == ".json" || json.Valid(data) && bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return parse(name, data, asJSON())
	}
	return parse(name, data, asYAML())
}

// ParseJSON reads a graph from the JSON of a request and validates it, as
// strictly as Parse. Its *InvalidError has no lines, as nobody reads a request
// line by line, and no Source.
func ParseJSON(data []byte) (Graph, error) {
	g, err := parse("", data, asJSON())
	if invalid, ok := errors.AsType[*InvalidError](err); ok {
		for i := range invalid.Problems {
			invalid.Problems[i].Line, invalid.Problems[i].Column = 0, 0
		}
	}
	return g, err
}

// fileFormat is what differs between the formats of a job file.
type fileFormat struct {
	read func([]byte) (*node, *Problem)
	// most is the greatest size, hint what to do about a larger file, expanded the most
	// that a file may grow to, in values and letters, when its aliases are followed.
	most     int
	hint     string
	expanded int
}

func asJSON() fileFormat { return fileFormat{read: fromJSON, most: MaxJSONSize, expanded: MaxJSONSize} }

func asYAML() fileFormat {
	return fileFormat{
		read: fromYAML, most: MaxFileSize, expanded: maxExpanded,
		hint: "; JSON may have " + thousands(MaxJSONSize),
	}
}

// parse reads data in one format. First what it says must be a graph, then the
// graph must be sound: a misspelt field would else look like a missing one.
func parse(name string, data []byte, in fileFormat) (Graph, error) {
	var p problems
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if problem := checkData(data, in); problem != nil {
		p.add(*problem)
		return Graph{}, p.err(name)
	}
	root, problem := in.read(data)
	if problem != nil {
		p.add(*problem)
		return Graph{}, p.err(name)
	}
	d := decoder{limit: in.expanded}
	g := d.graph(root)
	if err := d.problems.err(name); err != nil {
		return Graph{}, err
	}
	g.check(&p)
	for i := range p.list {
		p.list[i].Line, p.list[i].Column = root.locate(p.list[i].Field)
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	if err := p.err(name); err != nil {
		return Graph{}, err
	}
	return g, nil
}

func checkData(data []byte, in fileFormat) *Problem {
	if len(data) > in.most {
		return &Problem{Message: "has " + thousands(len(data)) + " bytes; at most " +
			thousands(in.most) + " are allowed" + in.hint}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return &Problem{Message: `is empty; a job needs a name and at least one task`}
	}
	if !utf8.Valid(data) {
		line := 1
		for rest := data; ; {
			r, size := utf8.DecodeRune(rest)
			if r == utf8.RuneError && size == 1 {
				return &Problem{Line: line, Message: "is not text in UTF-8"}
			}
			if r == '\n' {
				line++
			}
			rest = rest[size:]
		}
	}
	return nil
}
