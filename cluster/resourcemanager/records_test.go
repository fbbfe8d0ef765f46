package resourcemanager

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/envelope"
)

func goldenRecord() record {
	return record{
		Worker: gateway.Worker{ID: "worker-1", Instance: "0b5c", Address: "10.0.0.7:7421"},
		epoch:  4294967321, since: time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC),
	}
}

func TestARecordKeepsItsStoredForm(t *testing.T) {
	drained := goldenRecord()
	drained.drain = true
	for name, r := range map[string]record{"worker.v1.json": goldenRecord(), "worker-drain.v1.json": drained} {
		golden, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSpace(string(golden))
		stored, err := encodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := envelope.Decode(stored); err != nil || string(got) != want {
			t.Errorf("stored form changed:\n got %s, %v\nwant %s", got, err, want)
		}
		wrapped, err := envelope.Encode([]byte(want))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeRecord(wrapped, "worker-1"); err != nil || back != r {
			t.Errorf("read %+v, %v; want %+v", back, err, r)
		}
	}
}

func TestARecordOfAnotherShapeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		want    error
	}{
		"another worker":    {`{"v":1,"id":"worker-2","instance":"x","address":"a:1"}`, envelope.ErrDamaged},
		"without instance":  {`{"v":1,"id":"worker-1"}`, envelope.ErrDamaged},
		"without a version": {`{"id":"worker-1","instance":"x"}`, envelope.ErrDamaged},
		"two releases on":   {`{"v":3,"id":["worker-1"]}`, envelope.ErrNewerFormat},
	} {
		stored, err := envelope.Encode([]byte(c.payload))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := decodeRecord(stored, "worker-1"); !errors.Is(err, c.want) {
			t.Errorf("%s: read %+v, %v; want %v", name, r, err, c.want)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"worker-1","instance":"0b5c","address":"10.0.0.7:7421","epoch":7,"since":"2026-11-21T05:00:00Z","drain":true}`))
	f.Add([]byte(`{"v":2,"id":"worker-1","instance":"x","more":[]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		stored, err := envelope.Encode(payload)
		if err != nil {
			return // too large for a node
		}
		r, err := decodeRecord(stored, "worker-1")
		if err != nil {
			if !errors.Is(err, envelope.ErrDamaged) && !errors.Is(err, envelope.ErrNewerFormat) {
				t.Errorf("error %v is neither ErrDamaged nor ErrNewerFormat", err)
			}
			return
		}
		again, err := encodeRecord(r)
		if err != nil {
			return // a time that JSON cannot express
		}
		if back, err := decodeRecord(again, "worker-1"); err != nil || !back.since.Equal(r.since) || back.Worker != r.Worker {
			t.Errorf("stored again it is %+v, %v; want %+v", back, err, r)
		}
	})
}
