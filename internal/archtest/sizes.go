package archtest

import "go/ast"

// The hard limits. The aims are 400 and 60 lines.
const (
	maxFileLines     = 600
	maxFunctionLines = 100
)

// sizeRule holds the given limits.
func sizeRule(fileLines, functionLines int) Rule {
	return Rule{
		Name:   "size",
		Remedy: "split by subject: a file has one, a function does one thing",
		Check: func(m *Module) []Finding {
			return each(m, func(_ *Package, f *File) []Finding {
				var found []Finding
				if f.Lines > fileLines {
					found = append(found, f.at(f.Syntax.Name.Pos(), "the file has %d lines, more than %d", f.Lines, fileLines))
				}
				for _, decl := range f.Syntax.Decls {
					fn, ok := decl.(*ast.FuncDecl)
					if !ok {
						continue
					}
					if lines := f.Line(fn.End()) - f.Line(fn.Pos()) + 1; lines > functionLines {
						found = append(found, f.at(fn.Pos(), "%s has %d lines, more than %d", fn.Name.Name, lines, functionLines))
					}
				}
				return found
			})
		},
	}
}
