// Package rigtest runs benchmarks in tests.
package rigtest

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
)

// Result runs a benchmark and returns its last line, which must be one JSON object of
// the type R. It fails the test at once when the benchmark does, or prints anything
// else.
func Result[R any](t testing.TB, run func(out io.Writer) error) R {
	t.Helper()
	var out bytes.Buffer
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var r R
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("the last line of\n%s\nis no result: %v", out.String(), err)
	}
	return r
}
