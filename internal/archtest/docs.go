package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

func packageDocRule() Rule {
	return Rule{
		Name:   "package-doc",
		Remedy: "begin one file with a comment that says what the package is for",
		Check: func(m *Module) []Finding {
			var found []Finding
			for _, p := range m.Packages {
				documented := func(f *File) bool { return f.Syntax.Doc != nil }
				if !slices.ContainsFunc(p.Files, documented) {
					found = append(found, p.Files[0].at(p.Files[0].Syntax.Name.Pos(), "package %s has no doc comment", p.Path))
				}
			}
			return found
		},
	}
}

func exportedDocRule() Rule {
	return Rule{
		Name:   "exported-doc",
		Remedy: "say what it does, who may call it, whether it blocks, and each error",
		Check: func(m *Module) []Finding {
			return each(m, func(_ *Package, f *File) []Finding {
				if f.Test {
					return nil
				}
				var found []Finding
				for _, decl := range f.Syntax.Decls {
					switch decl := decl.(type) {
					case *ast.FuncDecl:
						if exportedFunc(decl) && decl.Doc == nil {
							found = append(found, f.at(decl.Pos(), "%s has no doc comment", decl.Name.Name))
						}
					case *ast.GenDecl:
						found = append(found, f.undocumented(decl)...)
					}
				}
				return found
			})
		},
	}
}

// exportedFunc reports whether users of the package can name the function: it
// is exported and, as a method, so is its type.
func exportedFunc(decl *ast.FuncDecl) bool {
	if !decl.Name.IsExported() || decl.Recv == nil {
		return decl.Name.IsExported()
	}
	for n := range ast.Preorder(decl.Recv.List[0].Type) {
		if id, ok := n.(*ast.Ident); ok {
			return id.IsExported()
		}
	}
	return false
}

// undocumented finds exported types, constants, variables and interface methods
// without a comment. A comment on a group stands for all in it, and so does one
// at the end of a line.
func (f *File) undocumented(decl *ast.GenDecl) []Finding {
	var found []Finding
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if !spec.Name.IsExported() {
				continue
			}
			if spec.Doc == nil && decl.Doc == nil {
				found = append(found, f.at(spec.Pos(), "type %s has no doc comment", spec.Name.Name))
			}
			found = append(found, f.undocumentedMethods(spec)...)
		case *ast.ValueSpec:
			if spec.Doc != nil || decl.Doc != nil || spec.Comment != nil {
				continue
			}
			for _, name := range spec.Names {
				if name.IsExported() {
					found = append(found, f.at(name.Pos(), "%s has no doc comment", name.Name))
				}
			}
		}
	}
	return found
}

func (f *File) undocumentedMethods(spec *ast.TypeSpec) []Finding {
	iface, ok := spec.Type.(*ast.InterfaceType)
	if !ok {
		return nil
	}
	var found []Finding
	for _, method := range iface.Methods.List {
		if len(method.Names) == 1 && method.Names[0].IsExported() && method.Doc == nil && method.Comment == nil {
			found = append(found, f.at(method.Pos(), "method %s.%s has no doc comment", spec.Name.Name, method.Names[0].Name))
		}
	}
	return found
}

// embeddable are the packages that other programs build upon.
func embeddable() []string {
	return []string{"election", "retrieval", "client", "agent"}
}

func exampleRule() Rule {
	return Rule{
		Name:   "example",
		Remedy: "add an Example with an Output comment that shows the whole use in a few lines",
		Check: func(m *Module) []Finding {
			var found []Finding
			for _, p := range m.Packages {
				if slices.Contains(embeddable(), p.Path) && !slices.ContainsFunc(p.Files, (*File).example) {
					found = append(found, p.Files[0].at(p.Files[0].Syntax.Name.Pos(), "package %s has no runnable Example", p.Path))
				}
			}
			return found
		},
	}
}

// example reports whether the file holds an Example that go test runs, which it
// does if the last comment in the body says what the output is.
func (f *File) example() bool {
	if !f.Test {
		return false
	}
	for _, decl := range f.Syntax.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(fn.Name.Name, "Example") {
			continue
		}
		for _, group := range f.Syntax.Comments {
			text := strings.ToLower(group.Text())
			if within(group, fn.Body) && (strings.HasPrefix(text, "output:") || strings.HasPrefix(text, "unordered output:")) {
				return true
			}
		}
	}
	return false
}

func within(inner, outer ast.Node) bool {
	in := func(p token.Pos) bool { return outer.Pos() <= p && p <= outer.End() }
	return in(inner.Pos()) && in(inner.End())
}
