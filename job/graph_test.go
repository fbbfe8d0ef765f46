package job_test

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/coordd/coordd/job"
	"pgregory.net/rapid"
)

func task(id string, needs ...string) job.Task {
	return job.Task{ID: id, Needs: needs, Command: []string{"true"}}
}

func TestIDs(t *testing.T) {
	seen := make(map[job.ID]bool)
	for range 1000 {
		id := job.NewID()
		if err := id.Validate(); err != nil || len(id) != 14 || seen[id] {
			t.Fatalf("NewID returned %q: %v, want a new, valid one of 14 letters", id, err)
		}
		seen[id] = true
	}
	for _, id := range []job.ID{"a", "A.b_c-9", "0", job.ID(strings.Repeat("x", job.MaxIDLength))} {
		if err := id.Validate(); err != nil {
			t.Errorf("%q: %v, want nil", id, err)
		}
	}
	for id, want := range map[job.ID]string{
		"":                               "is missing",
		"a/b":                            "contains '/'",
		"..":                             "starts with '.'",
		"-a":                             "starts with '-'",
		"ä":                              "contains 'ä'",
		"a\n":                            `"a\n" contains '\n'`,
		job.ID(strings.Repeat("x", 129)): "has 129 characters; at most 128",
	} {
		if err := id.Validate(); err == nil || !strings.HasPrefix(err.Error(), "invalid job: id: ") ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", id, err, want)
		}
	}
}

func TestOrder(t *testing.T) {
	g := job.Graph{Tasks: []job.Task{
		task("d", "b", "c"), task("a"), task("c", "a"), task("b", "a"), task("alone"),
	}}
	if got, want := g.Order(), []string{"a", "alone", "c", "b", "d"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Order() = %v, want %v", got, want)
	}
	if got, want := g.Final(), []string{"d", "alone"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Final() = %v, want %v", got, want)
	}
	if got, want := g.Dependents()["a"], []string{"c", "b"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Dependents()[a] = %v, want %v", got, want)
	}
	if got, ok := g.Task("c"); !ok || got.Needs[0] != "a" {
		t.Errorf("Task(c) = %v, %v, want the task", got, ok)
	}
	if _, ok := g.Task("z"); ok {
		t.Error("Task(z) found a task, want none")
	}
}

func TestCyclesAreNamedByTheirPath(t *testing.T) {
	for want, tasks := range map[string][]job.Task{
		"a -> b -> a":      {task("x"), task("a", "x", "b"), task("b", "a")},
		"b -> c -> d -> b": {task("a", "c"), task("b", "c"), task("c", "d"), task("d", "b")},
		"a -> b -> c -> d -> e -> ... -> i -> j -> k -> l -> a": {
			task("a", "b"), task("b", "c"), task("c", "d"), task("d", "e"), task("e", "f"), task("f", "g"),
			task("g", "h"), task("h", "i"), task("i", "j"), task("j", "k"), task("k", "l"), task("l", "a"),
		},
	} {
		err := job.Graph{Name: "x", Tasks: tasks}.Validate()
		if err == nil || !strings.HasSuffix(err.Error(), "tasks need each other in a cycle: "+want) {
			t.Errorf("got %v, want the cycle %s", err, want)
		}
	}
}

// TestOrderAgreesWithValidate compares the two on random graphs.
func TestOrderAgreesWithValidate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := []string{"a", "b", "c", "d", "e", "f"}
		g := job.Graph{Name: "random"}
		for i, id := range ids {
			others := append(append([]string{}, ids[:i]...), ids[i+1:]...)
			g.Tasks = append(g.Tasks, task(id, rapid.SliceOfNDistinct(
				rapid.SampledFrom(others), 0, 2, rapid.ID[string]).Draw(t, id)...))
		}
		order := g.Order()
		if err := g.Validate(); (err == nil) != (len(order) == len(ids)) {
			t.Fatalf("Validate: %v, but Order has %d of %d tasks", err, len(order), len(ids))
		}
		done := make(map[string]bool)
		for _, id := range order {
			spec, _ := g.Task(id)
			for _, need := range spec.Needs {
				if !done[need] {
					t.Fatalf("Order %v has %s before %s, which it needs", order, id, need)
				}
			}
			done[id] = true
		}
	})
}

// TestEncodeKeepsItsBytes holds the persisted form: graphs that were stored by
// earlier releases must stay readable and keep their digest.
func TestEncodeKeepsItsBytes(t *testing.T) {
	want, err := os.ReadFile("testdata/graph.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	g := etlGraph()
	g.Tasks[1].Command = append(g.Tasks[1].Command, "<&>\u2028\"é")
	g.Tasks[1].Dir = "/srv"
	if got := g.Encode(); !bytes.Equal(got, bytes.TrimSpace(want)) {
		t.Errorf("Encode:\n got %s\nwant %s", got, want)
	}
	back, err := job.Decode(bytes.TrimSpace(want))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, g.Normalize()) {
		t.Errorf("Decode: got %+v, want %+v", back, g.Normalize())
	}
	const digest = "497fbc7b9dd2e2f1909e3df8835a5dfe2734cbcdcf49ac170beb5ae59e720d57"
	if got := g.Digest(); got != digest {
		t.Errorf("Digest: got %s, want %s", got, digest)
	}
}

// TestEncodeKeepsTheBytesOfFunctionsAndLabels holds what was added to the form later.
// Graphs without it are held by TestEncodeKeepsItsBytes, as before.
func TestEncodeKeepsTheBytesOfFunctionsAndLabels(t *testing.T) {
	want, err := os.ReadFile("testdata/graph-func.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	want = bytes.TrimSpace(want)
	g := job.Graph{Name: "train", Tasks: []job.Task{
		{ID: "split", Func: "data/split", Requires: map[string]string{}},
		{
			ID: "train", Needs: []string{"split"}, Parallelism: 2, Command: []string{"./train"},
			Requires: map[string]string{"zone": "north", "gpu": "true"}, Env: map[string]string{"A": "b"},
		},
	}}
	if got := g.Encode(); !bytes.Equal(got, want) {
		t.Errorf("Encode:\n got %s\nwant %s", got, want)
	}
	back, err := job.Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, g.Normalize()) {
		t.Errorf("Decode: got %+v, want %+v", back, g.Normalize())
	}
}

func TestWorkersHaveTheLabelsThatTasksMayRequire(t *testing.T) {
	many := make(map[string]string)
	for i := range job.MaxLabels {
		many["label-"+strconv.Itoa(i)] = strings.Repeat("v", job.MaxLabelLength)
	}
	for _, good := range []map[string]string{nil, {"gpu": "true"}, {"a.b/c_d-e": "1"}, many} {
		g := job.Graph{Name: "x", Tasks: []job.Task{{ID: "a", Func: "f", Requires: good}}}
		if err := errors.Join(job.CheckLabels(good), g.Validate()); err != nil {
			t.Errorf("%v: %v, want nil", good, err)
		}
	}
	many["one-more"] = "x"
	for _, c := range []struct {
		labels map[string]string
		want   string
	}{
		{many, "has 33 labels; at most 32 are allowed"},
		{map[string]string{"": "x"}, `label "": a label's name is empty`},
		{map[string]string{"gpu": ""}, `label "gpu": is empty`},
		{map[string]string{"b": "=", "a": " "}, `label "a": a label's value has letters`},
		{map[string]string{"a": strings.Repeat("x", 64)}, `label "a": a label's value has 64 characters; at most 63`},
	} {
		if err := job.CheckLabels(c.labels); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("CheckLabels: %v, want %q", err, c.want)
		}
		g := job.Graph{Name: "x", Tasks: []job.Task{{ID: "a", Func: "f", Requires: c.labels}}}
		if g.Validate() == nil {
			t.Errorf("a task may require %v, want it refused", c.labels)
		}
	}
}

func TestDecodeRefusesDamage(t *testing.T) {
	data := etlGraph().Encode()
	for name, bad := range map[string][]byte{
		"cut":           data[:len(data)-1],
		"extended":      append(bytes.Clone(data), "}"...),
		"unknown field": bytes.Replace(data, []byte(`"needs"`), []byte(`"wants"`), 1),
		"invalid":       bytes.Replace(data, []byte(`"needs":["extract"]`), []byte(`"needs":["load"]`), 1),
	} {
		if g, err := job.Decode(bad); err == nil {
			t.Errorf("%s: decoded as %+v, want an error", name, g)
		}
	}
}

func TestDigestSeesContentOnly(t *testing.T) {
	same := []string{
		"name: x\ntasks:\n- {id: a, command: [x]}\n- {id: b, command: [x]}\n- {id: c, needs: [a, b], command: [x]}",
		"# comment\ntasks:\n- command: [x]\n  id: a\n  parallelism: 1\n  retry: {attempts: 1, delay: 0s}\n" +
			"- {id: b, command: [x], env: {}, timeout: 0h, needs: []}\n- {id: c, needs: [b, a], func: '', requires: {}, command: [\"x\"]}\nname: \"x\"",
		`{"tasks":[{"id":"a","command":["x"]},{"id":"b","command":["x"]},{"id":"c","needs":["b","a"],"command":["x"]}],"name":"x"}`,
	}
	digest := func(text string) string {
		g, err := job.Parse("x.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return g.Digest()
	}
	want := digest(same[0])
	for _, text := range same {
		if got := digest(text); got != want {
			t.Errorf("digest %s, want %s, for\n%s", got, want, text)
		}
	}
	for _, change := range []string{"name: x|name: y", "id: c|id: d", "[a, b]|[a]",
		"id: a,|id: a, dir: d,", "id: a,|id: a, requires: {gpu: true},",
		"id: c, needs: [a, b], command: [x]|id: c, needs: [a, b], func: x", "id: a,|id: a, parallelism: 2,"} {
		from, to, _ := strings.Cut(change, "|")
		if digest(strings.Replace(same[0], from, to, 1)) == want {
			t.Errorf("the digest stays the same after %s", change)
		}
	}
}

func TestNormalizeLeavesItsGraphAlone(t *testing.T) {
	g := job.Graph{Name: "x", Tasks: []job.Task{task("a"), task("b"), task("c", "b", "a")}}
	g.Tasks[2].Requires = map[string]string{"gpu": "true"}
	n := g.Normalize()
	n.Tasks[2].Command[0], n.Tasks[2].Needs[0], n.Tasks[2].Requires["gpu"] = "changed", "changed", "changed"
	if got := g.Tasks[2]; got.Needs[0] != "b" || got.Requires["gpu"] != "true" || got.Command[0] != "true" || got.Parallelism != 0 {
		t.Errorf("the graph became %+v, want it untouched", got)
	}
}
