package job

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
)

// Normalize returns the graph with every default written out and every way of
// saying the same made one: parallelism and retry.attempts are at least 1, what
// is empty is nil, and needs are sorted. The graph itself is not changed, and
// the result shares no slices or maps with it.
func (g Graph) Normalize() Graph {
	tasks := make([]Task, len(g.Tasks))
	for i, t := range g.Tasks {
		t.Parallelism = t.Subtasks()
		t.Retry.Attempts = max(t.Retry.Attempts, 1)
		t.Needs = slices.Sorted(slices.Values(t.Needs))
		t.Command = slices.Clone(t.Command)
		t.Requires, t.Env = cloneOrNil(t.Requires), cloneOrNil(t.Env)
		tasks[i] = t
	}
	g.Tasks = tasks
	return g
}

// cloneOrNil returns a copy of m, nil for an empty one.
func cloneOrNil(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

// Encode returns the persisted form of a graph: compact JSON of the normalized
// graph, with fields in a fixed order and sorted env and labels. The stores put it into a
// versioned envelope. Equal graphs have equal bytes. The bytes of
// testdata/graph.golden.json hold this format still, and those of
// testdata/graph-func.golden.json what came later: a graph without func and requires
// has the bytes that it had before there were any.
func (g Graph) Encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// A Graph consists of text, numbers, lists and maps: nothing that JSON
	// refuses, so there is no error to report.
	_ = enc.Encode(g.Normalize()) //nolint:errchkjson // Duration.MarshalText never fails either.
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Decode reads what Encode wrote. It is as strict as ParseJSON: a stored graph
// that is damaged or breaks a limit must not be run. Its error is an
// *InvalidError.
func Decode(data []byte) (Graph, error) { return parse("stored graph", data, asJSON()) }

// Digest returns the SHA-256 of the graph's content as 64 hex digits. Formatting,
// comments, the order of fields and needs, and defaults that are written out do
// not change it; everything else does, also the order of tasks.
func (g Graph) Digest() string {
	sum := sha256.Sum256(g.Encode())
	return hex.EncodeToString(sum[:])
}
