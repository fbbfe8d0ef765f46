package envelope

import (
	"encoding/json"
	"testing"
)

// BenchmarkEncode encodes a record of some kilobytes, as the snapshot of a job of a hundred
// subtasks is.
func BenchmarkEncode(b *testing.B) {
	type subtask struct {
		Index   int    `json:"index"`
		Status  string `json:"status"`
		Attempt int    `json:"attempt"`
		Worker  string `json:"worker"`
	}
	subtasks := make([]subtask, 100)
	for i := range subtasks {
		subtasks[i] = subtask{i, "FINISHED", 1, "worker-" + string(rune('a'+i%4))}
	}
	payload, err := json.Marshal(subtasks)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(payload); err != nil {
			b.Fatal(err)
		}
	}
}
