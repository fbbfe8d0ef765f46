package archtest

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
)

// starts returns the first place outside tests where the package starts a
// goroutine: a go statement, or a call of a method named Go, as sync.WaitGroup
// and errgroup.Group have.
func (p *Package) starts() (*File, token.Pos) {
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		for n := range ast.Preorder(f.Syntax) {
			switch n := n.(type) {
			case *ast.GoStmt:
				return f, n.Pos()
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" {
					return f, n.Pos()
				}
			}
		}
	}
	return nil, token.NoPos
}

func concurrentDocRule() Rule {
	return Rule{
		Name:   "concurrent-doc",
		Remedy: "add doc.go with the package comment: who owns which state, who waits for each goroutine, and the state diagram",
		Check: func(m *Module) []Finding {
			var found []Finding
			for _, p := range m.Packages {
				f, pos := p.starts()
				documented := func(f *File) bool { return path.Base(f.Path) == "doc.go" && f.Syntax.Doc != nil }
				if f != nil && !p.Support() && !p.Main() && !slices.ContainsFunc(p.Files, documented) {
					found = append(found, f.at(pos, "package %s starts goroutines and has no doc.go", p.Path))
				}
			}
			return found
		},
	}
}

func leakRule() Rule {
	return Rule{
		Name:   "leak",
		Remedy: "add func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }",
		Check: func(m *Module) []Finding {
			var found []Finding
			for _, p := range m.Packages {
				var tests, main *File
				checked := false
				for _, f := range p.Files {
					if !f.Test {
						continue
					}
					tests = f
					if f.testMain() {
						main = f
					}
					checked = checked || len(f.references("go.uber.org/goleak", "VerifyTestMain", "Find")) > 0
				}
				start, _ := p.starts()
				switch {
				case tests == nil || checked:
				case main != nil:
					found = append(found, main.at(main.Syntax.Name.Pos(), "TestMain of package %s does not look for leaked goroutines", p.Path))
				case start != nil:
					found = append(found, tests.at(tests.Syntax.Name.Pos(),
						"package %s starts goroutines, and its tests do not look for leaked ones", p.Path))
				}
			}
			return found
		},
	}
}

func (f *File) testMain() bool {
	return slices.ContainsFunc(f.Syntax.Decls, func(decl ast.Decl) bool {
		fn, ok := decl.(*ast.FuncDecl)
		return ok && fn.Recv == nil && fn.Name.Name == "TestMain"
	})
}

func sleepRule() Rule {
	return Rule{
		Name: "sleep",
		Remedy: "wait for what has to happen: a channel, a context, a timer in a select; " +
			"tests let virtual time pass in testing/synctest (<-time.After inside the bubble)",
		Check: func(m *Module) []Finding {
			return each(m, func(_ *Package, f *File) []Finding {
				var found []Finding
				for _, expr := range f.references("time", "Sleep") {
					found = append(found, f.at(expr.Pos(), "time.Sleep"))
				}
				return found
			})
		},
	}
}

func skipRule() Rule {
	return Rule{
		Name:   "skip",
		Remedy: "a test that lacks something fails and says what to install; a test that may not run shows nothing",
		Check: func(m *Module) []Finding {
			return each(m, func(p *Package, f *File) []Finding {
				if !f.Test && !p.Support() {
					return nil
				}
				var found []Finding
				for n := range ast.Preorder(f.Syntax) {
					call, ok := n.(*ast.CallExpr)
					if !ok {
						continue
					}
					sel, ok := call.Fun.(*ast.SelectorExpr)
					if ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) || f.refers(call.Fun, "testing", "Short") {
						found = append(found, f.at(call.Pos(), "a test can be skipped here"))
					}
				}
				return found
			})
		},
	}
}
