package archtest

import (
	"go/ast"
	"go/token"
	"strings"
)

func initRule() Rule {
	return Rule{
		Name:   "init",
		Remedy: "do it in a constructor, where it can take arguments and return an error",
		Check: func(m *Module) []Finding {
			return each(m, func(_ *Package, f *File) []Finding {
				var found []Finding
				for _, decl := range f.Syntax.Decls {
					if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
						found = append(found, f.at(fn.Pos(), "func init"))
					}
				}
				return found
			})
		},
	}
}

// variablesRule holds that a package keeps no state in variables. Outside tests,
// a package-level variable is one of these, and nothing else:
//
//   - blank, as in var _ X = (*T)(nil);
//   - an error named Err... or err..., made by errors.New or fmt.Errorf, or another
//     package's under the same name;
//   - filled by //go:embed;
//   - made by regexp.MustCompile or crc32.MakeTable, whose results nobody can or
//     does change;
//   - in a command, a string that the linker sets (-ldflags -X) and nothing else;
//   - a sync.Pool, unexported and a literal: memory to use again, and no state;
//   - a table: unexported, a literal, and never assigned, changed by index, delete,
//     clear or ++, nor pointed to in its package.
func variablesRule() Rule {
	return Rule{
		Name: "variables",
		Remedy: "keep state in a value that somebody makes and owns; a table is an unexported literal that is never assigned, " +
			"or a function that returns it",
		Check: func(m *Module) []Finding {
			var found []Finding
			for _, p := range m.Packages {
				for _, f := range p.Files {
					if !f.Test {
						found = append(found, variables(p, f)...)
					}
				}
			}
			return found
		},
	}
}

func variables(p *Package, f *File) []Finding {
	var found []Finding
	for _, decl := range f.Syntax.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, spec := range gen.Specs {
			spec, ok := spec.(*ast.ValueSpec)
			if !ok || embedded(gen.Doc) || embedded(spec.Doc) {
				continue
			}
			for i, name := range spec.Names {
				var value ast.Expr
				if i < len(spec.Values) {
					value = spec.Values[i]
				}
				if name.Name != "_" && !linked(p, spec) && !f.constant(p, name.Name, value) {
					found = append(found, f.at(name.Pos(), "package variable %s", name.Name))
				}
			}
		}
	}
	return found
}

func embedded(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if strings.HasPrefix(c.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

// linked reports whether the variable can only be set by the linker.
func linked(p *Package, spec *ast.ValueSpec) bool {
	typ, ok := spec.Type.(*ast.Ident)
	return ok && typ.Name == "string" && p.Main() && len(spec.Names) == 1 && spec.Values == nil && !changed(p, spec.Names[0].Name)
}

// constant reports whether the variable is one of those that variablesRule
// allows.
func (f *File) constant(p *Package, name string, value ast.Expr) bool {
	switch value := value.(type) {
	case *ast.CallExpr:
		if f.refers(value.Fun, "regexp", "MustCompile") || f.refers(value.Fun, "hash/crc32", "MakeTable") {
			return true
		}
		isError := f.refers(value.Fun, "errors", "New") || f.refers(value.Fun, "fmt", "Errorf")
		return isError && (strings.HasPrefix(name, "Err") || strings.HasPrefix(name, "err"))
	case *ast.SelectorExpr:
		return strings.HasPrefix(name, "Err") && value.Sel.Name == name
	case *ast.CompositeLit:
		return !ast.IsExported(name) && !changed(p, name)
	}
	return false
}

// changed reports whether any file of the package may change the variable, or
// another one of the same name.
func changed(p *Package, name string) bool {
	for _, f := range p.Files {
		for n := range ast.Preorder(f.Syntax) {
			var touched []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					touched = n.Lhs
				}
			case *ast.IncDecStmt:
				touched = []ast.Expr{n.X}
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					touched = []ast.Expr{n.X}
				}
			case *ast.CallExpr:
				if fn, ok := n.Fun.(*ast.Ident); ok && (fn.Name == "delete" || fn.Name == "clear") {
					touched = n.Args[:1]
				}
			}
			for _, expr := range touched {
				if root(expr) == name {
					return true
				}
			}
		}
	}
	return false
}

// root returns the name of the variable that x.f, x[i], *x or (x) belong to.
func root(expr ast.Expr) string {
	for {
		switch e := expr.(type) {
		case *ast.Ident:
			return e.Name
		case *ast.SelectorExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		default:
			return ""
		}
	}
}

func contextFieldRule() Rule {
	return Rule{
		Name:   "context-field",
		Remedy: "take ctx as the first parameter of the methods that need it",
		Check: func(m *Module) []Finding {
			return each(m, func(_ *Package, f *File) []Finding {
				var found []Finding
				for n := range ast.Preorder(f.Syntax) {
					s, ok := n.(*ast.StructType)
					if !ok {
						continue
					}
					for _, field := range s.Fields.List {
						if f.refers(field.Type, "context", "Context") {
							found = append(found, f.at(field.Pos(), "a context in a struct field"))
						}
					}
				}
				return found
			})
		},
	}
}

func contextRootRule() Rule {
	return Rule{
		Name: "context-root",
		Remedy: "take ctx as the first parameter; for work that outlives it, context.WithoutCancel(ctx) with a time-out; " +
			"only commands and tests begin with a context of their own",
		Check: func(m *Module) []Finding {
			return each(m, func(p *Package, f *File) []Finding {
				if f.Test || p.Support() || p.Main() {
					return nil
				}
				var found []Finding
				for _, expr := range f.references("context", "Background", "TODO") {
					found = append(found, f.at(expr.Pos(), "a context that nobody can cancel"))
				}
				return found
			})
		},
	}
}
