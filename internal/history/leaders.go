package history

import "fmt"

// Check returns the violations of all invariants. A history that was cut off, with
// jobs still under way, is for Prefix.
func Check(events []Event) []Violation {
	return append(Prefix(events), DirtyEndsClean(events)...)
}

// Prefix returns the violations of all invariants that hold at any moment: all but
// what has to come about in the end.
func Prefix(events []Event) []Violation {
	var all []Violation
	for _, check := range []func([]Event) []Violation{
		OneWriter, MonotoneEpochs, NoStalePublication, AcceptedIsKept, OneResult, NoRerun, CleanIsLast,
	} {
		all = append(all, check(events)...)
	}
	return all
}

// violations gathers what one invariant's checker finds.
type violations struct {
	invariant string
	found     []Violation
}

func (v *violations) addf(at int, format string, args ...any) {
	v.found = append(v.found, Violation{Invariant: v.invariant, At: at, Text: fmt.Sprintf(format, args...)})
}

// OneWriter checks I1: every write is guarded, and none of a term is accepted after
// one of a later term.
func OneWriter(events []Event) []Violation {
	v := violations{invariant: "I1"}
	newest := int64(0)
	for i, e := range events {
		switch {
		case e.Kind != Committed:
		case e.Epoch <= 0:
			v.addf(i, "a write without a guard: %v", e.Writes)
		case e.Epoch < newest:
			v.addf(i, "a write of epoch %d after one of epoch %d: %v", e.Epoch, newest, e.Writes)
		default:
			newest = e.Epoch
		}
	}
	return v.found
}

// MonotoneEpochs checks I2: terms begin with strictly growing epochs, and nobody
// writes in, or hears of, one that has not begun.
func MonotoneEpochs(events []Event) []Violation {
	v := violations{invariant: "I2"}
	newest, begun := int64(0), make(map[int64]bool)
	for i, e := range events {
		switch e.Kind {
		case Led:
			if e.Epoch <= newest {
				v.addf(i, "%q begins epoch %d after epoch %d", e.By, e.Epoch, newest)
			}
			newest = max(newest, e.Epoch)
			begun[e.Epoch] = true
		case Committed, Announced, Recovered:
			if e.Epoch > 0 && !begun[e.Epoch] {
				v.addf(i, "%s in epoch %d, which nobody began", e.Kind, e.Epoch)
			}
		default:
		}
	}
	return v.found
}

// NoStalePublication checks I5: no reader is told of a leader older than one that it
// was told of before.
func NoStalePublication(events []Event) []Violation {
	v := violations{invariant: "I5"}
	told := make(map[string]int64)
	for i, e := range events {
		if e.Kind != Announced {
			continue
		}
		if e.Epoch < told[e.By] {
			v.addf(i, "%q is told of epoch %d after epoch %d", e.By, e.Epoch, told[e.By])
		}
		told[e.By] = max(told[e.By], e.Epoch)
	}
	return v.found
}
