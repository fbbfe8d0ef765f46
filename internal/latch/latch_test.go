package latch

import (
	"slices"
	"strings"
	"testing"
)

func TestContendersAreOrderedAsTheirSequences(t *testing.T) {
	for name, c := range map[string]struct{ children, want []string }{
		"none": {nil, []string{}},
		"by sequence, not by name": {
			[]string{"_c_b-latch-0000000002", "_c_c-latch-0000000001", "_c_a-latch-0000000010"},
			[]string{"_c_c-latch-0000000001", "_c_b-latch-0000000002", "_c_a-latch-0000000010"},
		},
		"negative sequences come first": {
			[]string{"_c_a-latch-0000000000", "_c_b-latch--000000001", "_c_c-latch--2147483648", "_c_d-latch--1000000000"},
			[]string{"_c_c-latch--2147483648", "_c_d-latch--1000000000", "_c_b-latch--000000001", "_c_a-latch-0000000000"},
		},
		"signed as ZooKeeper prints them": {
			[]string{"a-latch-2147483647", "a-latch--2147483648", "a-latch--2147483647", "x-latch--00000001"},
			[]string{"a-latch--2147483648", "a-latch--2147483647", "a-latch-2147483647"},
		},
		"foreign children are ignored": {
			[]string{"!x", "lock-0000000001", "latch-000000001", "latch-", "_c_a-latch-00000000001x", "_c_a-latch-0000000007", "x-latch-0000000003-", "0000000000"},
			[]string{"_c_a-latch-0000000007"},
		},
		"Curator's names are contenders": {
			[]string{"_c_7b8e3e5e-94c0-4e8e-bb5b-1c1f4b0a7a11-latch-0000000005", "latch-0000000004"},
			[]string{"latch-0000000004", "_c_7b8e3e5e-94c0-4e8e-bb5b-1c1f4b0a7a11-latch-0000000005"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Contenders(c.children); !slices.Equal(got, c.want) {
				t.Errorf("contenders of %q are %q, want %q", c.children, got, c.want)
			}
		})
	}
}

func TestContendingIsRefusedNearTheEndOfTheSequence(t *testing.T) {
	for name, want := range map[string]string{
		"_c_a-latch-0000000000":  "",
		"_c_a-latch-2146483647":  "",
		"_c_a-latch-2146483648":  "delete /c/latch",
		"_c_a-latch-2147483647":  "delete /c/latch",
		"_c_a-latch--2147483648": "delete /c/latch",
		"_c_a-latch-12":          "does not end in a sequence",
	} {
		err := CheckSequence("/c/latch", name)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: error %v, want none", name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v, want one that contains %q", name, err, want)
		}
	}
}

func TestUUIDIsWhatAProtectedCreatePutsFirst(t *testing.T) {
	for name, want := range map[string]string{
		"_c_7b8e3e5e-94c0-4e8e-bb5b-1c1f4b0a7a11-latch-0000000005": "7b8e3e5e-94c0-4e8e-bb5b-1c1f4b0a7a11",
		"latch-0000000005":     "",
		"_c_a-latch-000000005": "",
		"x_c_7b8e3e5e-94c0-4e8e-bb5b-1c1f4b0a7a11-latch-0000000005": "",
		"_c_7b8e3e5e-94c0-4e8e-bb5b-1c1f4b0a7a11latch-0000000005":   "",
	} {
		if got, ok := UUID(name); got != want || ok != (want != "") {
			t.Errorf("UUID(%q) is %q, %v; want %q", name, got, ok, want)
		}
	}
}
