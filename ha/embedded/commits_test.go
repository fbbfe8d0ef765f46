package embedded_test

import (
	"errors"
	"testing"

	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/txn"
)

func TestCommitsKeepsWhatTookEffectWhoeverWasTold(t *testing.T) {
	b := newBackend(t, embedded.Config{KeepCommits: true})
	p := started(t, b, "a")
	g := campaign(t, p).Guard()
	b.Inject(embedded.Fault{Path: "untold", After: true, Err: errBroken})
	if err := create(p, g, "told"); err != nil {
		t.Fatal(err)
	}
	if err := create(p, g, "told"); !errors.Is(err, txn.ErrExists) {
		t.Fatalf("created twice: %v", err)
	}
	if err := create(p, g, "untold"); !errors.Is(err, errBroken) {
		t.Fatalf("create: %v, want the fault", err)
	}
	var paths []string
	for _, c := range b.Commits(0) {
		if c.Epoch != g.Epoch() || len(c.Ops) != 1 {
			t.Errorf("kept %v, want one operation in epoch %d", c, g.Epoch())
		}
		paths = append(paths, c.Ops[0].Path)
	}
	if len(paths) != 2 || paths[0] != "told" || paths[1] != "untold" {
		t.Errorf("kept %v, want told and untold", paths)
	}
	if later := b.Commits(1); len(later) != 1 || len(b.Commits(5)) != 0 {
		t.Errorf("from the second on %v, from beyond the end %v", later, b.Commits(5))
	}
}
