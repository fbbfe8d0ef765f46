package archtest

import (
	"testing"
)

// TestTheModuleHolds runs every rule on the whole module.
func TestTheModuleHolds(t *testing.T) {
	m, err := Load(t.Context(), "../..")
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
