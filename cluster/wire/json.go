package wire

import (
	"encoding/json"
	"fmt"
)

// toJSON returns the API's JSON of a value, what names it in errors.
func toJSON(what string, value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", what, err)
	}
	return data, nil
}

// fromJSON reads it. Fields of a newer release are ignored.
func fromJSON[T any](what string, data []byte) (value T, err error) {
	if err := json.Unmarshal(data, &value); err != nil {
		return value, fmt.Errorf("decode %s: %w", what, err)
	}
	return value, nil
}

func toEachJSON[T any](what string, values []T) ([][]byte, error) {
	var all [][]byte
	for _, value := range values {
		data, err := toJSON(what, value)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func fromEachJSON[T any](what string, all [][]byte) ([]T, error) {
	var values []T
	for _, data := range all {
		value, err := fromJSON[T](what, data)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}
