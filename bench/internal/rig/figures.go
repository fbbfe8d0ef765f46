package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Warmup is how many rounds are run and not counted, so that neither Java's
// compiler nor cold caches are measured.
const Warmup = 20

// Times are the measurements of one thing.
type Times []time.Duration

// At returns the given percentile, by nearest rank, in milliseconds.
func (t Times) At(percent float64) float64 {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	rank := int(math.Ceil(percent / 100 * float64(len(sorted))))
	return Round(float64(sorted[max(rank, 1)-1]) / float64(time.Millisecond))
}

// Median returns the middle one of counts, zero for none.
func Median(counts []float64) float64 {
	if len(counts) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(counts))
	return sorted[len(sorted)/2]
}

// Ratio returns ours in terms of the floor.
func Ratio(ours, floor float64) float64 {
	if floor == 0 {
		return 0
	}
	return Round(ours / floor)
}

// Round leaves three decimals.
func Round(v float64) float64 { return math.Round(v*1000) / 1000 }

// Print writes lines for people and, as the last line, the result as JSON.
func Print(out io.Writer, result any, lines ...string) error {
	encoded, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	for _, line := range append(lines, string(encoded)) {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	}
	return nil
}
