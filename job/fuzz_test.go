package job_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coordd/coordd/job"
)

// FuzzParse holds for any data that Parse returns, that it explains a refusal in
// one line, and that what it accepts is valid and survives being stored.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../testdata/*/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && len(data) < 1<<14 {
			f.Add(data)
		}
	}
	for _, seed := range []string{
		"name: x\ntasks: [{id: a, command: [x]}]",
		"name: x\ntasks: [{id: a, func: f/g.h, requires: {gpu: true, a.b/c: 010}}]",
		"a: &a [*a, &b {<<: *a}]\n---\n!!str ? - - |\n x",
		"{\"name\":\"x\",\"tasks\":[{\"id\":\"a\",\"command\":[\"x\"]}]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"fuzz.yaml", "fuzz.json"} {
			checkParse(t, name, data)
		}
	})
}

func checkParse(t *testing.T, name string, data []byte) {
	g, err := job.Parse(name, data)
	if err != nil {
		var invalid *job.InvalidError
		if !errors.As(err, &invalid) {
			t.Fatalf("Parse: error %T %v, want *job.InvalidError", err, err)
		}
		if n := len(invalid.Problems); n == 0 || n > job.MaxProblems {
			t.Errorf("Parse: %d problems, want 1 to %d", n, job.MaxProblems)
		}
		if strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("Parse: error %q has several lines", err)
		}
		return
	}
	if err := g.Validate(); err != nil {
		t.Errorf("Validate after Parse: %v, want nil", err)
	}
	stored, err := job.Decode(g.Encode())
	if err != nil {
		t.Fatalf("Decode of Encode: %v", err)
	}
	if stored.Digest() != g.Digest() {
		t.Errorf("Digest after Decode: %s, want %s", stored.Digest(), g.Digest())
	}
	if len(g.Order()) != len(g.Tasks) || len(g.Final()) == 0 {
		t.Errorf("Order %v and Final %v of a valid graph of %d tasks", g.Order(), g.Final(), len(g.Tasks))
	}
}
