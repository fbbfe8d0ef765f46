package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
)

// Rule is one thing that the whole module keeps to.
type Rule struct {
	// Name is a word or two with dashes; testdata/<name>.txtar holds what breaks
	// the rule.
	Name string
	// Remedy says what to do about a finding.
	Remedy string
	// Check returns every place that breaks the rule.
	Check func(*Module) []Finding
}

// Finding is one place that breaks a rule.
type Finding struct {
	Path string
	Line int
	// Text says what was found.
	Text string
}

// String returns the finding as compilers print theirs.
func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Text) }

// Rules returns every rule.
func Rules() []Rule {
	return []Rule{
		floorsRule(),
		dependenciesRule(),
		supportRule(),
		packageDocRule(),
		exportedDocRule(),
		exampleRule(),
		initRule(),
		variablesRule(),
		contextFieldRule(),
		contextRootRule(),
		sizeRule(maxFileLines, maxFunctionLines),
		concurrentDocRule(),
		leakRule(),
		sleepRule(),
		skipRule(),
	}
}

// at makes a finding about a place in the file.
func (f *File) at(pos token.Pos, format string, args ...any) Finding {
	return Finding{Path: f.Path, Line: f.Line(pos), Text: fmt.Sprintf(format, args...)}
}

// each applies check to every file and gathers what it finds.
func each(m *Module, check func(*Package, *File) []Finding) []Finding {
	var found []Finding
	for _, p := range m.Packages {
		for _, f := range p.Files {
			found = append(found, check(p, f)...)
		}
	}
	return found
}

// local returns the name under which the file imports path, or "" if it does
// not. It takes the last element of the path, without a version, for the name
// that the package gives itself.
func (f *File) local(path string) string {
	for _, spec := range f.Syntax.Imports {
		if strings.Trim(spec.Path.Value, `"`) != path {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path[strings.LastIndexByte(path, '/')+1:]
	}
	return ""
}

// refers reports whether expr is the exported name of the package at path.
func (f *File) refers(expr ast.Expr, path, name string) bool {
	sel, ok := expr.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == f.local(path)
}

// references returns the places that use one of the names of the package at
// path.
func (f *File) references(path string, names ...string) []ast.Expr {
	if f.local(path) == "" {
		return nil
	}
	var found []ast.Expr
	for n := range ast.Preorder(f.Syntax) {
		expr, ok := n.(*ast.SelectorExpr)
		if !ok {
			continue
		}
		for _, name := range names {
			if f.refers(expr, path, name) {
				found = append(found, expr)
			}
		}
	}
	return found
}
