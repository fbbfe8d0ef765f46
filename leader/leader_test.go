package leader

import (
	"strings"
	"testing"
	"time"
)

func TestInfoKeepsItsPublishedForm(t *testing.T) {
	info := Info{
		Component: Dispatcher, ID: "node-2", Address: "http://127.0.0.1:7430", RPCAddress: "127.0.0.1:7431",
		SessionID: "3f2c8a52-5f0e-4c53-9d1e-0d3a5a3c9a11", Epoch: 4294967321,
		Since: time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC), Phase: PhaseReady,
	}
	const golden = `{"v":1,"component":"dispatcher","id":"node-2","address":"http://127.0.0.1:7430","rpc_address":"127.0.0.1:7431","session_id":"3f2c8a52-5f0e-4c53-9d1e-0d3a5a3c9a11","epoch":4294967321,"since":"2026-11-21T05:00:00Z","phase":"ready"}`
	data, err := info.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != golden {
		t.Errorf("published form changed:\n got %s\nwant %s", data, golden)
	}
	back, err := DecodeInfo([]byte(golden))
	if err != nil {
		t.Fatal(err)
	}
	if back != info {
		t.Errorf("decoded %+v, want %+v", back, info)
	}
}

func TestDecodeInfoRefusesWhatItCannotTrust(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"garbage":       {"\x00\x01", "not readable"},
		"newer version": {`{"v":2,"session_id":"x","epoch":1}`, "version 2"},
		"no term":       {`{"v":1,"component":"dispatcher"}`, "names no term"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeInfo([]byte(c.data))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that contains %q", err, c.want)
			}
		})
	}
}

func TestGuardOpensOnlyForItsBackend(t *testing.T) {
	type mine struct{ node string }
	type other struct{}
	g := NewGuard(7, mine{"a"})
	if got, ok := Token[mine](g); !ok || got.node != "a" {
		t.Errorf("own token: got %v, %v", got, ok)
	}
	if _, ok := Token[other](g); ok {
		t.Error("a foreign backend read the guard")
	}
	if _, ok := Token[mine](Guard{}); ok {
		t.Error("the zero guard was accepted")
	}
}
