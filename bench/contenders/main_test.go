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
	args := []string{"--rounds", "3", "--contenders", "2,10"}
	if err := run(t.Context(), args, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var r result
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("the last line of\n%s\nis no result: %v", out.String(), err)
	}
	if len(r.Operations) != 2 || r.Operations["2"] <= 0 || r.Operations["10"] <= 0 || r.Floor <= 0 || r.Growth <= 0 || r.Ratio <= 0 {
		t.Errorf("got %+v, want figures above zero", r)
	}
}

func TestRefusesContendersThatCannotHandOver(t *testing.T) {
	for _, list := range []string{"", "1", "10,x"} {
		if sizes, err := parse(list); err == nil {
			t.Errorf("--contenders %q gave %v, want an error", list, sizes)
		}
	}
}
