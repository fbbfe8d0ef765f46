package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocsShowCodeThatRuns holds the Go code in docs/embedding.md to the tests: each
// block stands, line for line, in a test file, where it is compiled and run.
func TestDocsShowCodeThatRuns(t *testing.T) {
	doc := filepath.Join(moduleRoot, "docs", "embedding.md")
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlocks(string(text))
	if len(blocks) < 5 {
		t.Fatalf("%s has %d blocks of Go, want its examples", doc, len(blocks))
	}
	sources := testSources(t)
	for _, b := range blocks {
		found := false
		for _, src := range sources {
			found = found || strings.Contains(src, b)
		}
		if !found {
			t.Errorf("%s: no test file contains this block; change both:\n%s", doc, b)
		}
	}
}

// goBlocks returns the fenced blocks of Go in a document.
func goBlocks(text string) []string {
	const begin, end = "```go\n", "```"
	var blocks []string
	for {
		_, rest, ok := strings.Cut(text, begin)
		if !ok {
			return blocks
		}
		block, after, _ := strings.Cut(rest, end)
		blocks = append(blocks, block)
		text = after
	}
}

// testSources returns the test files of all modules in the tree that may be shown.
func testSources(t *testing.T) []string {
	t.Helper()
	var sources []string
	for _, pattern := range []string{"*_test.go", "*/*_test.go"} {
		for _, dir := range []string{"agent", "election", "retrieval", "client", "coordinator", "examples"} {
			files, err := filepath.Glob(filepath.Join(moduleRoot, dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				src, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				sources = append(sources, string(src))
			}
		}
	}
	return sources
}
