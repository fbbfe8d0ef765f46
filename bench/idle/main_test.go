package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheLastLineIsTheResult(t *testing.T) {
	var out bytes.Buffer
	args := []string{"--rounds", "3", "--session-timeout", "1s", "--contenders", "3", "--listeners", "100"}
	if err := run(t.Context(), args, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var r result
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("the last line of\n%s\nis no result: %v", out.String(), err)
	}
	if r.Contender.Ours.Heap <= 0 || r.Contender.Ours.Goroutines <= 0 || r.Contender.Ratio <= 0 ||
		r.Listener.Ours.Goroutines <= 0 || r.Operations.Ours <= 0 || r.Operations.Ratio <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}
