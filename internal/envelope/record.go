package envelope

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Seal writes record as JSON and wraps it. A record carries its own version in
// the JSON field "v", at least 1, beside the envelope's. Errors: ErrTooLarge, or
// the JSON encoder's.
func Seal(record any) ([]byte, error) {
	payload, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	return Encode(payload)
}

// SealLarge is Seal for what is stored elsewhere than in a backend, up to
// MaxLarge.
func SealLarge(record any) ([]byte, error) {
	payload, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	return EncodeLarge(payload)
}

// Open reads what Seal wrote into record; what names the record in errors, and
// current is the version of it that this release writes.
//
// A release reads one version ahead of what it writes, so that nodes of two
// releases can lead in turn. Version n+1 of a record may therefore only add what a
// reader of version n may ignore; what cannot be ignored makes it version n+2.
//
// A record that is further ahead is refused with ErrNewerFormat before its other
// fields are looked at, and so is one that is ahead and cannot be read; everything
// else that is wrong wraps ErrDamaged.
func Open(what string, current int, stored []byte, record any) error {
	payload, err := Decode(stored)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return open(what, current, payload, record)
}

// OpenLarge is Open for what SealLarge wrote.
func OpenLarge(what string, current int, stored []byte, record any) error {
	payload, err := DecodeLarge(stored)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return open(what, current, payload, record)
}

func open(what string, current int, payload []byte, record any) error {
	version, err := recordVersion(payload)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrDamaged, err)
	}
	if version > current+1 {
		return NewerFormat(what, version, current+1)
	}
	if version < 1 {
		return fmt.Errorf("%s: %w: it has no version", what, ErrDamaged)
	}
	err = json.Unmarshal(payload, record)
	switch {
	case err != nil && version > current: // its checksum is right: it is not damaged
		return fmt.Errorf("%w: %w", NewerFormat(what, version, current), err)
	case err != nil:
		return fmt.Errorf("%s: %w: %w", what, ErrDamaged, err)
	}
	return nil
}

// versionKey is how every record of coordd begins.
const versionKey = `{"v":`

// recordVersion returns the version of a record, 0 when it has none. A leader opens
// tens of thousands of records before it is ready, so it reads the beginning only where
// that suffices.
func recordVersion(payload []byte) (int, error) {
	if rest, ok := bytes.CutPrefix(payload, []byte(versionKey)); ok {
		if end := bytes.IndexAny(rest[:min(len(rest), 8)], ",}"); end > 0 {
			if version, err := strconv.Atoi(string(rest[:end])); err == nil {
				return version, nil
			}
		}
	}
	var head struct {
		Version int `json:"v"`
	}
	err := json.Unmarshal(payload, &head)
	return head.Version, err
}
