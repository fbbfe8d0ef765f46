package job

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// fromYAML reads the one document of a YAML file.
func fromYAML(data []byte) (*node, *Problem) {
	tokens := lexer.Tokenize(string(data))
	if problem := checkTokens(tokens); problem != nil {
		return nil, problem
	}
	// Duplicates are found later, where the field's whole path is known.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, yamlProblem(err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.DirectiveType {
			continue
		}
		if body != nil {
			return nil, problemAt(doc.Body, "another document begins; a file holds one job")
		}
		body = doc.Body
	}
	if body == nil {
		return nil, &Problem{Message: "is empty; a job needs a name and at least one task"}
	}
	r := yamlReader{anchors: make(map[string]*node)}
	return r.value(body, 0)
}

// yamlProblem makes a parser's error ours; its own text shows the file over
// several lines.
func yamlProblem(err error) *Problem {
	syntax, ok := errors.AsType[*yaml.SyntaxError](err)
	if !ok {
		return &Problem{Message: "is not valid YAML: " + quote(err.Error())}
	}
	inLine := strings.NewReplacer("\t", `\t`, "\n", " ", "\r", " ")
	p := &Problem{Message: "is not valid YAML: " + inLine.Replace(syntax.Message)}
	if strings.Contains(syntax.Message, "\t") {
		p.Message += "; indent with spaces"
	}
	if syntax.Token != nil && syntax.Token.Position != nil {
		p.Line, p.Column = syntax.Token.Position.Line, syntax.Token.Position.Column
	}
	return p
}

func problemAt(n ast.Node, format string, args ...any) *Problem {
	p := &Problem{Message: fmt.Sprintf(format, args...)}
	if tok := n.GetToken(); tok != nil && tok.Position != nil {
		p.Line, p.Column = tok.Position.Line, tok.Position.Column
	}
	return p
}

// yamlReader turns a syntax tree into nodes. An alias becomes the node of its
// anchor, so that the work is bounded by the size of the file.
type yamlReader struct {
	anchors map[string]*node
}

func (r *yamlReader) value(in ast.Node, depth int) (*node, *Problem) {
	if depth > maxDepth {
		return nil, tooDeep(problemAt(in, "").Line)
	}
	out := &node{}
	if tok := in.GetToken(); tok != nil && tok.Position != nil {
		out.line, out.column = tok.Position.Line, tok.Position.Column
	}
	switch in := in.(type) {
	case *ast.NullNode:
		return out, nil
	case *ast.StringNode:
		out.kind, out.text = textNode, in.Value
	case *ast.LiteralNode:
		out.kind, out.text = textNode, in.Value.Value
	case *ast.BoolNode:
		out.kind, out.text, out.bare = boolNode, in.Token.Value, true
	case *ast.IntegerNode:
		out.kind, out.text, out.bare = numberNode, in.Token.Value, true
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text, out.bare = numberNode, in.GetToken().Value, true
	case *ast.AnchorNode:
		return r.anchor(in, depth)
	case *ast.AliasNode:
		return r.alias(in)
	case *ast.SequenceNode:
		return out, r.list(in, out, depth)
	case *ast.MappingNode:
		return out, r.mapping(in.Values, out, depth)
	case *ast.MappingValueNode:
		return out, r.mapping([]*ast.MappingValueNode{in}, out, depth)
	default:
		return nil, problemAt(in, "%s is YAML that job files do not use", quote(in.GetToken().Value))
	}
	return out, nil
}

// anchor makes the value known under its name only when it is complete: no
// value can contain itself.
func (r *yamlReader) anchor(in *ast.AnchorNode, depth int) (*node, *Problem) {
	n, problem := r.value(in.Value, depth+1)
	if problem == nil {
		r.anchors[in.Name.GetToken().Value] = n
	}
	return n, problem
}

func (r *yamlReader) alias(in *ast.AliasNode) (*node, *Problem) {
	name := in.Value.GetToken().Value
	n, ok := r.anchors[name]
	if !ok {
		return nil, problemAt(in, "there is no anchor &%s before the alias *%[1]s", clip(name))
	}
	return n, nil
}

func (r *yamlReader) list(in *ast.SequenceNode, out *node, depth int) *Problem {
	out.kind = listNode
	for _, v := range in.Values {
		item, problem := r.value(v, depth+1)
		if problem != nil {
			return problem
		}
		out.items = append(out.items, item)
	}
	return nil
}

func (r *yamlReader) mapping(in []*ast.MappingValueNode, out *node, depth int) *Problem {
	out.kind = mapNode
	for _, entry := range in {
		tok := entry.Key.GetToken()
		switch entry.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		case *ast.MergeKeyNode:
			return problemAt(entry.Key, "merge keys (<<) are not supported; use an alias for a whole value")
		default:
			return problemAt(entry.Key, "a field's name must be plain text")
		}
		value, problem := r.value(entry.Value, depth+1)
		if problem != nil {
			return problem
		}
		out.fields = append(out.fields, field{
			name: tok.Value, line: tok.Position.Line, column: tok.Position.Column, value: value,
		})
	}
	if len(out.fields) > 0 { // the parser's token is the first colon
		out.line, out.column = out.fields[0].line, out.fields[0].column
	}
	return nil
}
