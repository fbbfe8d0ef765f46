package job

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// MaxIDLength is the greatest length of a job's or a task's ID.
const MaxIDLength = 128

// ID names a job. It is chosen by the submitter or made at random, consists of
// 1 to 128 letters, digits, '.', '_' and '-', and starts with a letter or a
// digit. A job keeps its ID through every failover.
type ID string

// NewID returns a random ID such as "k3m9-x2qa-bc7d", with 60 random bits.
func NewID() ID {
	text := strings.ToLower(rand.Text())
	return ID(text[:4] + "-" + text[4:8] + "-" + text[8:12])
}

// Validate returns nil or an *InvalidError.
func (id ID) Validate() error {
	var p problems
	if msg := checkID(string(id)); msg != "" {
		p.addf("id", "%s", msg)
	}
	return p.err("")
}

// checkID returns what is wrong with a job's or task's ID, or "".
func checkID(id string) string {
	const rule = "use letters, digits, '.', '_' and '-', and start with a letter or a digit"
	if id == "" {
		return "is missing; " + rule
	}
	if len(id) > MaxIDLength {
		return fmt.Sprintf("%s has %s characters; at most %d are allowed",
			quote(id), thousands(len(id)), MaxIDLength)
	}
	for i, r := range id {
		switch {
		case letterOrDigit(r):
		case r != '.' && r != '_' && r != '-':
			return fmt.Sprintf("%s contains %q; %s", quote(id), r, rule)
		case i == 0:
			return fmt.Sprintf("%s starts with %q; %s", quote(id), r, rule)
		}
	}
	return ""
}

func letterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
