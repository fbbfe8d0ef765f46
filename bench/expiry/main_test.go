package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the leader that the benchmark kills.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "--victim") {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestTheLastLineIsTheResult(t *testing.T) {
	var out bytes.Buffer
	args := []string{"--rounds", "2"}
	if err := run(t.Context(), args, strings.NewReader(""), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var r result
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("the last line of\n%s\nis no result: %v", out.String(), err)
	}
	if r.Rounds != 2 || r.P50 <= 0 || r.FloorP50 <= 0 || r.Ratio <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}
