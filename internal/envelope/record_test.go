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

func TestOpenReadsOneVersionAhead(t *testing.T) {
	stored, err := Encode([]byte(`{"v":2,"name":"etl","added":[1,2]}`))
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if err := Open("graph", 1, stored, &got); err != nil {
		t.Fatalf("a record of the next version was refused: %v", err)
	}
	if want := (record{2, "etl"}); got != want {
		t.Errorf("opened %+v, want %+v", got, want)
	}
}

func TestALargeRecordComesBack(t *testing.T) {
	want := record{Version: 1, Name: strings.Repeat("x", MaxDecoded)}
	stored, err := SealLarge(want)
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if err := OpenLarge("graph", 1, stored, &got); err != nil || got != want {
		t.Errorf("opened a name of %d bytes, error %v; want %d bytes", len(got.Name), err, len(want.Name))
	}
	if err := Open("graph", 1, stored, &got); !errors.Is(err, ErrDamaged) {
		t.Errorf("Open of a large record: error %v, want ErrDamaged", err)
	}
	if _, err := SealLarge(make(chan int)); err == nil {
		t.Error("a channel was sealed")
	}
}

func TestOpenRefusesWhatItCannotTrust(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		want    error
		text    string
	}{
		"two ahead":               {`{"v":3,"name":"x"}`, ErrNewerFormat, "graph: written in a newer format: version 3, this coordd reads up to version 2"},
		"two ahead, other shape":  {`{"v":3,"name":{"first":"x"}}`, ErrNewerFormat, "version 3"},
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

// Whoever writes records by other means may lay them out otherwise.
func TestTheVersionIsFoundWhereverItStands(t *testing.T) {
	for payload, want := range map[string]int{
		`{"v":1}`: 1, `{"v":12,"a":"x"}`: 12, `{ "v" : 3 }`: 3, `{"a":{"v":9},"v":2}`: 2, `{"v":1234567890}`: 1234567890, `{"a":1}`: 0,
	} {
		if got, err := recordVersion([]byte(payload)); err != nil || got != want {
			t.Errorf("version of %s is %d, %v; want %d", payload, got, err, want)
		}
	}
	for _, payload := range []string{`{"v":"1"}`, `{"v":1.5}`, `{"v":`, ``, `[]`} {
		if got, err := recordVersion([]byte(payload)); err == nil {
			t.Errorf("version of %s is %d, want an error", payload, got)
		}
	}
}
