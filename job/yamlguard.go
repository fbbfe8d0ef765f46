package job

import "github.com/goccy/go-yaml/token"

// The parser is recursive, and in places needs time that grows with the square
// of a count. These bounds on what it is given keep it fast; real job files are
// far below them.
const (
	// maxWidth bounds the fields of one mapping.
	maxWidth = MaxEnv + 10
	// maxWork bounds half the sum of the squares of all mappings' sizes:
	// ten mappings of maxWidth.
	maxWork = 10 * maxWidth * maxWidth / 2
	// maxRun bounds scalars without anything between them.
	maxRun = 64
	// maxDocuments bounds the documents, of which all but one must be empty.
	maxDocuments = 8
)

// tokenGuard follows the tokens of a file by counting.
type tokenGuard struct {
	line int
	// flow is the depth of brackets and braces; inLine counts the entries and
	// colons of this line outside of them; run counts scalars in a row.
	flow, inLine, run int
	// documents counts their headers, and work towards maxWork.
	documents, work int
	// blocks are the open block mappings by column, and their sizes.
	blocks []block
}

type block struct{ column, fields int }

// checkTokens refuses files that would cost the parser too much time or stack.
func checkTokens(tokens token.Tokens) *Problem {
	var g tokenGuard
	for i, tok := range tokens {
		var prev *token.Token
		if i > 0 {
			prev = tokens[i-1]
		}
		if problem := g.next(tok, prev); problem != nil {
			return problem
		}
	}
	return nil
}

func (g *tokenGuard) next(tok, prev *token.Token) *Problem {
	line, column := tok.Position.Line, tok.Position.Column
	if line != g.line {
		g.line, g.inLine = line, 0
	}
	g.run++
	switch tok.Type {
	case token.TagType:
		return &Problem{Line: line, Column: column, Message: "tags such as " + quote(tok.Value) + " are not supported"}
	case token.MappingKeyType:
		return &Problem{Line: line, Column: column, Message: `keys that begin with "? " are not supported`}
	case token.SequenceStartType, token.MappingStartType:
		g.flow++
		g.run = 0
	case token.SequenceEndType, token.MappingEndType:
		g.flow--
		g.run = 0
	case token.SequenceEntryType:
		g.closeBlocks(column)
		g.inLine++
		g.run = 0
	case token.MappingValueType:
		g.run = 0
		if g.flow == 0 && prev != nil {
			g.inLine++
			return g.countField(line, prev.Position.Column)
		}
	case token.DocumentHeaderType:
		g.documents++
		g.run = 0
	case token.CollectEntryType, token.CommentType, token.DocumentEndType:
		g.run = 0
	}
	if g.documents > maxDocuments {
		return &Problem{Line: line, Column: column, Message: "another document begins; a file holds one job"}
	}
	if g.flow > maxDepth || g.inLine > maxDepth {
		return tooDeep(line)
	}
	if g.run > maxRun {
		return &Problem{Line: line, Column: column, Message: "is not valid YAML: values follow one another without a comma or a line between them"}
	}
	return nil
}

// closeBlocks ends the mappings that stand further right than a column.
func (g *tokenGuard) closeBlocks(column int) {
	for len(g.blocks) > 0 && g.blocks[len(g.blocks)-1].column > column {
		g.blocks = g.blocks[:len(g.blocks)-1]
	}
}

func (g *tokenGuard) countField(line, column int) *Problem {
	g.closeBlocks(column)
	if len(g.blocks) == 0 || g.blocks[len(g.blocks)-1].column < column {
		g.blocks = append(g.blocks, block{column: column})
	}
	top := &g.blocks[len(g.blocks)-1]
	top.fields++
	if top.fields > maxWidth {
		return &Problem{Line: line, Message: "a mapping has more than " + thousands(maxWidth) + " fields"}
	}
	if g.work += top.fields; g.work > maxWork {
		return &Problem{Line: line, Message: "the mappings have too many fields in all"}
	}
	if len(g.blocks) > maxDepth || g.inLine > maxDepth {
		return tooDeep(line)
	}
	return nil
}
