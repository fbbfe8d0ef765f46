package archtest

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// want marks, in testdata, a line that a rule must report, and what the report
// must say.
const want = "// want "

// TestRulesFindWhatTheyForbid runs each rule on the module in its testdata: it
// must report the marked lines and no other.
func TestRulesFindWhatTheyForbid(t *testing.T) {
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			archive, err := txtar.ParseFile("testdata/" + rule.Name + ".txtar")
			if err != nil {
				t.Fatal(err)
			}
			if rule.Name == "size" {
				rule = sizeRule(12, 5) // so that its testdata is short
			}
			m, wanted := fixture(t, archive)
			if len(wanted) == 0 {
				t.Fatalf("testdata/%s.txtar marks nothing; the rule is not shown to fail", rule.Name)
			}
			for _, f := range rule.Check(m) {
				place := f.Path + ":" + strconv.Itoa(f.Line)
				text, ok := wanted[place]
				if !ok {
					t.Errorf("reported, but not marked: %s", f)
				} else if !strings.Contains(f.Text, text) {
					t.Errorf("%s: reported %q, want a text that contains %q", place, f.Text, text)
				}
				delete(wanted, place)
			}
			for place, text := range wanted {
				t.Errorf("%s: not reported, want %q", place, text)
			}
		})
	}
}

func TestRulesSayWhatToDo(t *testing.T) {
	for _, rule := range Rules() {
		if len(rule.Remedy) < 20 {
			t.Errorf("rule %s has the remedy %q, want a sentence", rule.Name, rule.Remedy)
		}
	}
}

func TestBansSayWhy(t *testing.T) {
	for _, b := range bans() {
		if len(b.reason) < 20 {
			t.Errorf("the ban of %v has the reason %q, want a sentence", b.targets, b.reason)
		}
	}
}

// fixture makes a module of the files in the archive, and returns the marked
// lines with it. A folder that ends in "!" is another module's package; only its
// imports count.
func fixture(t *testing.T, archive *txtar.Archive) (m *Module, wanted map[string]string) {
	t.Helper()
	m = &Module{Path: "example.test/m", Imports: make(map[string][]string)}
	wanted = make(map[string]string)
	packages := make(map[string]*Package)
	for _, entry := range archive.Files {
		f, err := parse(entry.Name, entry.Data)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(entry.Data), "\n") {
			if _, text, ok := strings.Cut(line, want); ok {
				wanted[entry.Name+":"+strconv.Itoa(i+1)] = text
			}
		}
		dir := path.Dir(entry.Name)
		if outside, ok := strings.CutSuffix(dir, "!"); ok {
			m.Imports[outside] = append(m.Imports[outside], f.Imported()...)
			continue
		}
		if packages[dir] == nil {
			packages[dir] = &Package{Path: dir}
			m.Packages = append(m.Packages, packages[dir])
		}
		packages[dir].Files = append(packages[dir].Files, f)
		if !f.Test {
			full := m.Path + "/" + dir
			m.Imports[full] = slices.Concat(m.Imports[full], f.Imported())
		}
	}
	return m, wanted
}
