package main

import (
	"errors"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fewest is how many faults the catalogue has at least.
const fewest = 16

func TestEveryMutantAppliesAndNamesTestsThatExist(t *testing.T) {
	all, err := mutants(regexp.MustCompile("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < fewest {
		t.Errorf("%d mutants, want %d at least", len(all), fewest)
	}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			changed, err := m.apply("..")
			if err != nil {
				t.Fatal(err)
			}
			for file, text := range changed {
				if formatted, err := format.Source(text); err != nil {
					t.Errorf("%s is no Go any more: %v", file, err)
				} else if string(formatted) != string(text) {
					t.Errorf("%s is not formatted as by gofmt", file)
				}
			}
			for _, in := range m.tests {
				source := testSource(t, in.pkg)
				for _, name := range in.names {
					if !strings.Contains(source, "\nfunc "+name+"(t *testing.T)") {
						t.Errorf("%s has no test %s", in.pkg, name)
					}
				}
			}
		})
	}
}

// testSource returns the tests of a package.
func testSource(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

func TestParseNamesWhatIsMissing(t *testing.T) {
	const head = "Wrong.\n\ntest ./a TestA\n"
	for want, text := range map[string]string{
		"needs a reason":   "test ./a TestA\n-- a.go old --\nx\n-- a.go new --\ny\n",
		"line \"test":      "Wrong.\n-- a.go old --\nx\n-- a.go new --\ny\n",
		"needs pairs":      head,
		"needs pairs of":   head + "-- a.go old --\nx\n",
		"are no pair":      head + "-- a.go old --\nx\n-- b.go new --\ny\n",
		"same as the new":  head + "-- a.go old --\nx\n-- a.go new --\nx\n",
		"old lines of a.g": head + "-- a.go old --\n-- a.go new --\nx\n",
	} {
		if _, err := parse("m", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestAMutantWhoseLinesAreNotThereOnceIsStale(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("one\ntwo\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edits []edit
		want  string
	}{
		"none":    {[]edit{{"a.go", []byte("four\n"), nil}}, ""},
		"two":     {[]edit{{"a.go", []byte("two\n"), nil}}, ""},
		"no file": {[]edit{{"b.go", []byte("two\n"), nil}}, ""},
		"once": {[]edit{
			{"a.go", []byte("one\n"), []byte("1\n")},
			{"a.go", []byte("three\n"), nil},
		}, "1\ntwo\ntwo\n"},
	} {
		changed, err := mutant{name: name, edits: c.edits}.apply(root)
		if c.want == "" && !errors.Is(err, errStale) || c.want != "" && err != nil {
			t.Errorf("%s: error %v", name, err)
		}
		if got := string(changed["a.go"]); got != c.want {
			t.Errorf("%s: changed to %q, want %q", name, got, c.want)
		}
	}
}

func TestFirstFailureIsReadFromWhatGoTestPrints(t *testing.T) {
	for want, text := range map[string]string{
		"TestB":         "=== RUN TestA\n--- FAIL: TestB (0.01s)\n    x_test.go:1: no\n--- FAIL: TestC (0.01s)\n",
		"TestD (hangs)": "panic: test timed out after 45s\n\trunning tests:\n\t\tTestD (45s)\n",
		"the package":   "goleak: found unexpected goroutines\n",
	} {
		if got := firstFailure(text); got != want {
			t.Errorf("%q, want %q, in:\n%s", got, want, text)
		}
	}
}

func TestAFaultThatNobodyNoticesFailsTheRun(t *testing.T) {
	m := mutant{name: "m", reason: "wrong"}
	for name, c := range map[string]struct {
		v    verdict
		want string
	}{
		"killed":    {verdict{mutant: m, by: "TestA"}, "1 of 1 mutants killed"},
		"survived":  {verdict{mutant: m}, "SURVIVED"},
		"not tried": {verdict{mutant: m, err: errStale}, "NOT TRIED"},
	} {
		var out strings.Builder
		err := report(&out, []verdict{c.v}, 0, false)
		if (err == nil) != (name == "killed") {
			t.Errorf("%s: error %v", name, err)
		}
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: printed %q, want %q in it", name, out.String(), c.want)
		}
	}
}
