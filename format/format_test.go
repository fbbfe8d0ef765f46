package format

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a storage with one value.
type memory struct {
	data    []byte
	err     error
	commits int
}

func (m *memory) Get(context.Context, leader.Guard, string) ([]byte, error) {
	if m.err != nil {
		return nil, m.err
	}
	if m.data == nil {
		return nil, txn.ErrNotFound
	}
	return m.data, nil
}

func (m *memory) Commit(_ context.Context, _ leader.Guard, ops ...txn.Op) error {
	m.commits++
	if len(ops) != 1 || ops[0].Kind != txn.Create || ops[0].Path != layout.Format {
		return errors.New("not a create of the format alone")
	}
	if m.data != nil {
		return txn.ErrExists
	}
	m.data = ops[0].Data
	return nil
}

func newGate(t *testing.T, d Driver) *Gate {
	t.Helper()
	g, err := New(Config{Driver: d, Release: "v0.4.0", Node: "node-1"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func goldenRecord() record {
	return record{Format: 1, Release: "v0.4.0", Node: "node-1", At: time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)}
}

func TestTheFormatKeepsItsStoredForm(t *testing.T) {
	golden, err := os.ReadFile("testdata/format.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSpace(string(golden))
	stored, err := encode(goldenRecord())
	if err != nil {
		t.Fatal(err)
	}
	payload, err := envelope.Decode(stored)
	if err != nil || string(payload) != want {
		t.Errorf("stored form changed:\n got %s, %v\nwant %s", payload, err, want)
	}
	if stored, err = envelope.Encode([]byte(want)); err != nil {
		t.Fatal(err)
	}
	if back, err := decode(stored); err != nil || back != goldenRecord() {
		t.Errorf("read %+v, %v; want %+v", back, err, goldenRecord())
	}
}

func TestTheFirstTermWritesTheFormatOnce(t *testing.T) {
	m := &memory{}
	for range 3 {
		if err := newGate(t, m).Pass(t.Context(), leader.Guard{}); err != nil {
			t.Fatal(err)
		}
	}
	if m.commits != 1 {
		t.Errorf("%d writes, want the first term's alone", m.commits)
	}
	r, err := decode(m.data)
	if err != nil || r.Format != Current || r.Release != "v0.4.0" || r.Node != "node-1" || r.At.IsZero() {
		t.Errorf("wrote %+v, %v; want format %d by v0.4.0 on node-1", r, err, Current)
	}
}

func TestAReleaseReadsOneFormatAhead(t *testing.T) {
	for version, passes := range map[int]bool{Current: true, Newest: true, Newest + 1: false, 99: false} {
		data, err := encode(record{Format: version, Release: "v9.1.0", Node: "node-7"})
		if err != nil {
			t.Fatal(err)
		}
		m := &memory{data: data}
		err = newGate(t, m).Pass(t.Context(), leader.Guard{})
		if m.commits != 0 {
			t.Errorf("format %d: wrote %d times, want never", version, m.commits)
		}
		if passes {
			if err != nil {
				t.Errorf("format %d: %v, want to pass", version, err)
			}
			continue
		}
		if !errors.Is(err, ErrNewerFormat) || errors.Is(err, ErrDamaged) {
			t.Fatalf("format %d: %v, want ErrNewerFormat alone", version, err)
		}
		for _, part := range []string{"written by coordd v9.1.0 on node-7", "this is coordd v0.4.0", "upgrade this node"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q does not say %q", err, part)
			}
		}
	}
}

func TestAFormatThatCannotBeReadEndsTheTermAndIsLeftAlone(t *testing.T) {
	noVersion, err := envelope.Encode([]byte(`{"release":"v1"}`))
	if err != nil {
		t.Fatal(err)
	}
	noJSON, err := envelope.Encode([]byte(`]`))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"garbage": []byte("garbage"), "empty": {}, "no version": noVersion, "no JSON": noJSON} {
		m := &memory{data: data}
		err := newGate(t, m).Pass(t.Context(), leader.Guard{})
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "delete that node") {
			t.Errorf("%s: %v, want ErrDamaged with the remedy", name, err)
		}
		if m.commits != 0 {
			t.Errorf("%s: wrote %d times, want never", name, m.commits)
		}
	}
	m := &memory{err: leader.ErrFenced}
	if err := newGate(t, m).Pass(t.Context(), leader.Guard{}); !errors.Is(err, leader.ErrFenced) || m.commits != 0 {
		t.Errorf("fenced: %v and %d writes, want ErrFenced and none", err, m.commits)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a gate without a driver was made")
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"format":1,"release":"v0.4.0"}`, `{"format":-1}`, `[]`, ``, `{"format":1e99}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		stored, err := envelope.Encode(payload)
		if err != nil {
			return // too large for a node
		}
		for _, value := range [][]byte{stored, payload} {
			r, err := decode(value)
			if err == nil && r.Format < 1 {
				t.Errorf("read format %d", r.Format)
			}
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewerFormat) {
				t.Errorf("error of no kind: %v", err)
			}
		}
	})
}
