package resultstore

import (
	"errors"
	"os"
	"testing"

	"github.com/coordd/coordd/internal/envelope"
)

func FuzzDecode(f *testing.F) {
	seed, err := os.ReadFile("testdata/result.v1.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"v":3}`))
	f.Add([]byte(`{"v":1,"snapshot":{"id":7}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		stored, err := envelope.Encode(content)
		if err != nil {
			return // too large for a node
		}
		r, err := decode(stored, "etl")
		switch {
		case err == nil && r.Snapshot.ID != "etl":
			t.Errorf("read the result of %q", r.Snapshot.ID)
		case err != nil && errors.Is(err, ErrDamaged) == errors.Is(err, ErrNewerFormat):
			t.Errorf("error of no kind, or of both: %v", err)
		}
	})
}
