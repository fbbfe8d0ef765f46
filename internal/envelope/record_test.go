package envelope

import (
	"errors"
	"strings"
	"testing"
)

type record struct {
	Version int    `json:"v"`
	Name    string `json:"name"`
}

func TestARecordComesBack(t *testing.T) {
	stored, err := Seal(record{Version: 1, Name: "etl"})
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if err := Open("graph", 1, stored, &got); err != nil {
		t.Fatal(err)
	}
	if want := (record{1, "etl"}); got != want {
		t.Errorf("opened %+v, want %+v", got, want)
	}
}

func TestOpenRefusesWhatItCannotTrust(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		want    error
		text    string
	}{
		"newer, of another shape": {`{"v":2,"name":{"first":"x"}}`, ErrNewerFormat, "graph: written in a newer format: version 2"},
		"no version":              {`{"name":"x"}`, ErrDamaged, "no version"},
		"another shape":           {`{"v":1,"name":7}`, ErrDamaged, "graph"},
		"no JSON":                 {`]`, ErrDamaged, "graph"},
	} {
		t.Run(name, func(t *testing.T) {
			stored, err := Encode([]byte(c.payload))
			if err != nil {
				t.Fatal(err)
			}
			var got record
			err = Open("graph", 1, stored, &got)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
	var got record
	if err := Open("graph", 1, []byte("foreign"), &got); !errors.Is(err, ErrNoEnvelope) {
		t.Errorf("error %v, want ErrNoEnvelope", err)
	}
	if _, err := Seal(make(chan int)); err == nil {
		t.Error("a channel was sealed")
	}
}
