package jobstore

import (
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/coordd/coordd/job"
)

// goldenProgress is of the golden job: extract has the subtasks 0 to 2, load is 3.
func goldenProgress() Progress {
	p := Progress{StartedAt: time.Date(2026, 11, 21, 5, 0, 1, 0, time.UTC), ResultBytes: 123}
	p.Finish(0, 7, 1, true)
	p.Fail(1, 4294967321, 5, 2)
	p.Finish(2, 4294967321, 2, false)
	p.Fail(3, 7, 1, 1)
	return p
}

func says(p Progress) map[int]Recorded { return maps.Collect(p.All()) }

func TestProgressKeepsItsStoredForm(t *testing.T) {
	for name, p := range map[string]Progress{"progress.v3.json": goldenProgress(), "progress-empty.v3.json": {}} {
		stored, err := encodeProgress(p)
		if got, want := payload(t, stored, err), string(golden(t, name)); got != want {
			t.Errorf("stored form changed:\n got %s\nwant %s", got, want)
		}
		back, err := decodeProgress(wrap(t, golden(t, name)), goldenJob().Graph)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(says(back), says(p)) || !back.StartedAt.Equal(p.StartedAt) || back.ResultBytes != p.ResultBytes {
			t.Errorf("decoded %+v, want %+v", back, p)
		}
	}
}

func TestProgressOfVersion1IsRead(t *testing.T) {
	p, err := decodeProgress(wrap(t, golden(t, "progress.v1.json")), goldenJob().Graph)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]Recorded{
		0: {Finished: true, Epoch: 7, Attempt: 1},
		1: {Attempt: 2, Used: 2},
		2: {Finished: true, Epoch: 4294967321, Attempt: 2},
		3: {Finished: true, Epoch: 9, Attempt: 1, Text: "done\n"},
	}
	if got := says(p); !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
	if empty, err := decodeProgress(wrap(t, golden(t, "progress-empty.v1.json")), goldenJob().Graph); err != nil || len(says(empty)) > 0 {
		t.Errorf("the empty record says %+v, %v", says(empty), err)
	}
}

func TestAnOutputKeepsItsStoredForm(t *testing.T) {
	o := Output{Task: "load", Subtask: 0, Text: "done\n", Result: []byte("\x00\xff")}
	stored, err := encodeOutput(o)
	if got, want := payload(t, stored, err), string(golden(t, "output.v1.json")); got != want {
		t.Errorf("stored form changed:\n got %s\nwant %s", got, want)
	}
	back, err := decodeOutput(wrap(t, golden(t, "output.v1.json")), OutputID{Task: "load"})
	if err != nil || !reflect.DeepEqual(back, o) {
		t.Errorf("read %+v, %v; want %+v", back, err, o)
	}
	if _, err := decodeOutput(stored, OutputID{Task: "load", Subtask: 1}); !errors.Is(err, ErrDamaged) {
		t.Errorf("the output of another subtask: %v, want ErrDamaged", err)
	}
}

func TestProgressThatCannotBeTrueIsDamaged(t *testing.T) {
	for name, content := range map[string]string{
		"a subtask beyond the job":             `{"v":3,"f":"4","e":{"7":"4"}}`,
		"a subtask beyond every job":           `{"v":3,"f":"0-99999999999","e":{"7":"0-99999999999"}}`,
		"runs out of order":                    `{"v":3,"f":"2,1","e":{"7":"1-2"}}`,
		"no number":                            `{"v":3,"f":"x","e":{"7":"0"}}`,
		"no base64":                            `{"v":3,"f":"b:%","e":{"7":"0"}}`,
		"finished in no epoch":                 `{"v":3,"f":"0-1","e":{"7":"0"}}`,
		"finished in two epochs":               `{"v":3,"f":"0","e":{"7":"0","8":"0"}}`,
		"an output of what has not finished":   `{"v":3,"o":"0","e":{"7":"0"}}`,
		"finished, and attempts used":          `{"v":3,"f":"0","e":{"7":"0"},"u":{"2":"0"}}`,
		"attempt 0":                            `{"v":3,"f":"0","e":{"7":"0"},"a":{"0":"0"}}`,
		"version 1, a task that is not there":  `{"v":1,"tasks":{"x":{}}}`,
		"version 1, a subtask beyond its task": `{"v":1,"tasks":{"load":{"f":[[1,1,7,0]]}}}`,
		"version 1, a subtask twice":           `{"v":1,"tasks":{"load":{"f":[[0,1,7,0],[0,1,7,0]]}}}`,
		"version 1, attempts beyond its task":  `{"v":1,"tasks":{"load":{"a":{"1":1}}}}`,
		"version 1, three fields":              `{"v":1,"tasks":{"load":{"f":[[0,1,7]]}}}`,
	} {
		if p, err := decodeProgress(wrap(t, []byte(content)), goldenJob().Graph); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: read %+v, %v; want ErrDamaged", name, says(p), err)
		}
	}
}

// TestProgressSaysWhatItWasTold draws changes of subtasks in any order and compares
// with a plain map, also after the record was stored and read.
func TestProgressSaysWhatItWasTold(t *testing.T) {
	graph := job.Graph{Tasks: []job.Task{{ID: "a", Parallelism: 200}, {ID: "b", Parallelism: 300}}}
	rapid.Check(t, func(t *rapid.T) {
		var p Progress
		want := map[int]Recorded{}
		for range rapid.IntRange(0, 300).Draw(t, "changes") {
			n := rapid.IntRange(0, 499).Draw(t, "subtask")
			if want[n].Finished {
				continue
			}
			r := Recorded{Epoch: 7, Attempt: want[n].Attempt + rapid.IntRange(1, 2).Draw(t, "attempt"), Used: want[n].Used + 1}
			if rapid.Bool().Draw(t, "next term") {
				r.Epoch = 8
			}
			if r.Finished = rapid.IntRange(0, 3).Draw(t, "fails") > 0; r.Finished {
				r.Used, r.Output = 0, rapid.Bool().Draw(t, "output")
				p.Finish(n, r.Epoch, r.Attempt, r.Output)
			} else {
				p.Fail(n, r.Epoch, r.Attempt, r.Used)
			}
			want[n] = r
		}
		if got := says(p); !reflect.DeepEqual(got, want) {
			t.Fatalf("the record says %+v, want %+v", got, want)
		}
		stored, err := encodeProgress(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeProgress(stored, graph)
		if err != nil || !reflect.DeepEqual(says(back), want) {
			t.Fatalf("read %+v, %v; want %+v", says(back), err, want)
		}
	})
}

func TestASetKeepsItsMembersInEitherForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s set
		want := map[int]bool{}
		for range rapid.IntRange(0, 200).Draw(t, "changes") {
			n := rapid.IntRange(0, 300).Draw(t, "n")
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				s.remove(n)
				delete(want, n)
			} else {
				s.add(n)
				want[n] = true
			}
		}
		members := slices.Sorted(maps.Keys(want))
		if got := slices.Collect(s.all()); !slices.Equal(got, members) {
			t.Fatalf("members %v, want %v", got, members)
		}
		text, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back, bitmap set
		if len(members) > 0 {
			if err := errors.Join(back.UnmarshalText(text), bitmap.UnmarshalText(s.bitmap((s.end()+7)/8))); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		if !reflect.DeepEqual(back, s) || !reflect.DeepEqual(bitmap, s) {
			t.Fatalf("%s was read as %v and %v, want %v", text, back, bitmap, s)
		}
	})
}

func TestACloneDoesNotChange(t *testing.T) {
	p := goldenProgress()
	before := p.Clone()
	p.Finish(1, 9, 3, true)
	p.Fail(3, 9, 9, 9)
	if !reflect.DeepEqual(says(before), says(goldenProgress())) {
		t.Errorf("the clone says %+v, want %+v", says(before), says(goldenProgress()))
	}
}

func TestTheProgressOfAWideJobIsAFewKiB(t *testing.T) {
	const subtasks = 10000
	random := rand.New(rand.NewPCG(1, 2))
	var inOrder, anyOrder, mixed Progress
	for i := range subtasks {
		inOrder.Finish(i, 4294967321, 1, false)
	}
	for _, n := range random.Perm(subtasks)[:subtasks/2] {
		anyOrder.Finish(n, 4294967321, 1, true)
	}
	for n := range subtasks {
		if random.IntN(10) == 0 {
			mixed.Fail(n, 4294967321, 1+random.IntN(3), 1+random.IntN(2))
		} else {
			mixed.Finish(n, 4294967321+100, 1, false)
		}
	}
	for name, c := range map[string]struct {
		p     Progress
		limit int
	}{"in order": {inOrder, 200}, "half of it, in any order": {anyOrder, 6 << 10}, "with failures": {mixed, 12 << 10}} {
		stored, err := encodeProgress(c.p)
		if err != nil {
			t.Fatal(err)
		}
		if len(stored) > c.limit {
			t.Errorf("%d subtasks, %s, take %d bytes, want at most %d", subtasks, name, len(stored), c.limit)
		}
	}
}

func BenchmarkEncodeWideProgress(b *testing.B) {
	var p Progress
	for n := range 10000 {
		if n%97 != 0 || n < 9000 {
			p.Finish(n, 4294967321, 1, false)
		}
	}
	for b.Loop() {
		c := p.Clone()
		if _, err := encodeProgress(c); err != nil {
			b.Fatal(err)
		}
	}
}
