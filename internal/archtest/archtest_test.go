package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const moduleRoot = "../.."

// TestTheModuleHolds runs every rule on the whole module.
func TestTheModuleHolds(t *testing.T) {
	noteFolders(t)
	m, err := Load(t.Context(), moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Packages) < 10 {
		t.Fatalf("read %d packages; the rules must see the whole module", len(m.Packages))
	}
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			found := rule.Check(m)
			for _, f := range found {
				t.Error(f)
			}
			if len(found) > 0 {
				t.Log("What to do: " + rule.Remedy)
			}
		})
	}
}

// noteFolders reads every folder of the module. The go command repeats a test's
// former result as long as nothing has changed that the test itself has opened;
// what "go list" opens it does not see.
func noteFolders(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(moduleRoot, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); strings.HasPrefix(name, ".") && name != ".." {
			return fs.SkipDir
		}
		_, err = os.ReadDir(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
