package envelope

import (
	"encoding/json"
	"fmt"
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

// Open reads what Seal wrote into record; what names the record in errors. A
// record of a version above reads is refused with ErrNewerFormat before its other
// fields are looked at; everything else that is wrong wraps ErrDamaged.
func Open(what string, reads int, stored []byte, record any) error {
	payload, err := Decode(stored)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var head struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(payload, &head); err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrDamaged, err)
	}
	if head.Version > reads {
		return NewerFormat(what, head.Version, reads)
	}
	if head.Version < 1 {
		return fmt.Errorf("%s: %w: it has no version", what, ErrDamaged)
	}
	if err := json.Unmarshal(payload, record); err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrDamaged, err)
	}
	return nil
}
