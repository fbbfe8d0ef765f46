package jobstore

import (
	"errors"
	"testing"
	"time"
)

func goldenQuarantine() Quarantine {
	return Quarantine{
		ID: "etl", Reason: "job graph: value is damaged: wrong checksum (12 bytes)",
		Since: time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC), SinceEpoch: 4294967321, Writer: "node-1",
	}
}

func TestAQuarantineRecordKeepsItsStoredForm(t *testing.T) {
	stored, err := encodeQuarantine(goldenQuarantine())
	if got, want := payload(t, stored, err), string(golden(t, "quarantine.v1.json")); got != want {
		t.Errorf("stored form changed:\n got %s\nwant %s", got, want)
	}
	back, err := decodeQuarantine(wrap(t, golden(t, "quarantine.v1.json")))
	if err != nil || back != goldenQuarantine() {
		t.Errorf("read %+v, %v; want %+v", back, err, goldenQuarantine())
	}
}

func TestAQuarantineRecordOfANewerReleaseIsToldFromDamage(t *testing.T) {
	if _, err := decodeQuarantine(wrap(t, []byte(`{"v":3}`))); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("version 3: %v, want ErrNewerFormat", err)
	}
	if _, err := decodeQuarantine([]byte("garbage")); !errors.Is(err, ErrDamaged) {
		t.Errorf("garbage: %v, want ErrDamaged", err)
	}
}
