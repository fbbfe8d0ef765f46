package job

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

const (
	// MaxLabels is the greatest number of labels that a worker has, and that a task
	// requires.
	MaxLabels = 32
	// MaxLabelLength is the greatest length of a label's name, and of its value.
	MaxLabelLength = 63
	// MaxFuncLength is the greatest length of a function's name.
	MaxFuncLength = 128
)

// CheckLabels returns nil when a worker may have these labels, and otherwise an error
// that names the first label which is wrong and says why.
func CheckLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return errors.New(tooManyLabels(len(labels)))
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if msg := checkLabel(name, labels[name]); msg != "" {
			return fmt.Errorf("label %s: %s", quote(name), msg)
		}
	}
	return nil
}

// checkRequires finds what is wrong with the labels that a task requires.
func checkRequires(p *problems, path string, labels map[string]string) {
	if len(labels) > MaxLabels {
		p.addf(path, "%s", tooManyLabels(len(labels)))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if msg := checkLabel(name, labels[name]); msg != "" {
			p.addf(fieldPath(path, name), "%s", msg)
		}
	}
}

func tooManyLabels(n int) string {
	return fmt.Sprintf("has %s labels; at most %d are allowed", thousands(n), MaxLabels)
}

// checkLabel says what is wrong with a label, and nothing when it is right.
func checkLabel(name, value string) string {
	if msg := checkWord(name, MaxLabelLength); msg != "" {
		return "a label's name " + msg
	}
	if value == "" {
		return `is empty; write the value that the label must have, such as "true"`
	}
	if msg := checkWord(value, MaxLabelLength); msg != "" {
		return "a label's value " + msg
	}
	return ""
}

// checkFunc says what is wrong with a function's name, and nothing when it is right.
func checkFunc(name string) string { return checkWord(name, MaxFuncLength) }

// checkWord says why a word cannot stand in a label or name a function, in words that
// follow what the word is.
func checkWord(word string, longest int) string {
	if word == "" {
		return "is empty"
	}
	for _, r := range word {
		if r != '.' && r != '_' && r != '-' && r != '/' && !letterOrDigit(r) {
			return fmt.Sprintf("has letters, digits, '.', '_', '-' and '/' only, but %s contains %q", quote(word), r)
		}
	}
	if len(word) > longest {
		return fmt.Sprintf("has %s characters; at most %d are allowed", thousands(len(word)), longest)
	}
	return ""
}
