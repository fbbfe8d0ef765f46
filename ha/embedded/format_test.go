package embedded_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/coordd/coordd/leader"
)

// The file was written by the first release that knew format 1. Its index is
// 2^32+5, and it holds three values.
func TestAFileOfFormat1IsRead(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "format-1.db"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, golden, 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, file)
	want := map[string]string{"a/1": "one", "a/2": "", "b/1": "three"}
	if got := p.content(t, "a", "b"); !maps.Equal(got, want) {
		t.Errorf("it holds %v, want %v", got, want)
	}
	const index, generation = 1<<32 + 5, 1 << 32
	if got, want := p.guard.Epoch(), leader.Epoch(index+generation+1); got != want {
		t.Errorf("the next epoch is %d, want %d", got, want)
	}
}
