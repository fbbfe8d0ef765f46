package archtest

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocsNameWhatExists holds the documents to the tree: a relative link leads
// to a file, and a test that is named is there.
func TestDocsNameWhatExists(t *testing.T) {
	m, err := Load(t.Context(), moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(m)
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	name := regexp.MustCompile(`\bTest[A-Z]\w+`)
	for _, doc := range documents(t) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		code := false
		for i, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(line, "```") {
				code = !code
			}
			links := link.FindAllStringSubmatch(line, -1)
			if code { // Go's type parameters look like links
				links = nil
			}
			for _, match := range links {
				if target := match[1]; !strings.Contains(target, "://") {
					if _, err := os.Stat(filepath.Join(filepath.Dir(doc), target)); err != nil {
						t.Errorf("%s:%d: the link %s leads nowhere", doc, i+1, target)
					}
				}
			}
			for _, test := range name.FindAllString(line, -1) {
				if test != "TestMain" && !tests[test] {
					t.Errorf("%s:%d: there is no %s", doc, i+1, test)
				}
			}
		}
	}
}

func documents(t *testing.T) []string {
	t.Helper()
	var docs []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(moduleRoot, pattern))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, found...)
	}
	if len(docs) < 3 {
		t.Fatalf("found only the documents %q", docs)
	}
	return docs
}

func testNames(m *Module) map[string]bool {
	names := make(map[string]bool)
	for _, p := range m.Packages {
		for _, f := range p.Files {
			for _, decl := range f.Syntax.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && f.Test && fn.Recv == nil {
					names[fn.Name.Name] = true
				}
			}
		}
	}
	return names
}
