package leader

import (
	"reflect"
	"testing"
)

// Whoever can write to ZooKeeper decides what readers of leader information decode.
func FuzzDecodeInfo(f *testing.F) {
	for _, seed := range []string{
		`{"v":1,"component":"dispatcher","id":"node-1","address":"http://127.0.0.1:7420","rpc_address":"127.0.0.1:7421",` +
			`"session_id":"3f2c8a52-5f0e-4c53-9d1e-0d3a5a3c9a11","epoch":7,"since":"2026-11-21T05:00:00Z","phase":"ready"}`,
		`{"v":2}`, `{"v":99}`, `{"v":1,"epoch":-1}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := DecodeInfo(data)
		if err != nil {
			if info != (Info{}) {
				t.Errorf("an error, %v, and the information %+v", err, info)
			}
			return
		}
		encoded, err := info.Encode()
		if err != nil {
			t.Fatalf("%+v was decoded and cannot be encoded: %v", info, err)
		}
		again, err := DecodeInfo(encoded)
		if err != nil || !reflect.DeepEqual(again, info) {
			t.Errorf("%+v comes back as %+v, %v", info, again, err)
		}
	})
}
