package taskexecutor

import (
	"strings"
	"unicode/utf8"
)

// tail keeps the last bytes written to it, in constant space.
type tail struct {
	ring []byte
	// total counts all bytes ever written; total%len(ring) is where the next goes.
	total int
}

func newTail(size int) *tail { return &tail{ring: make([]byte, size)} }

// Write implements io.Writer. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if over := n - len(t.ring); over > 0 {
		t.total += over
		p = p[over:]
	}
	for len(p) > 0 {
		k := copy(t.ring[t.total%len(t.ring):], p)
		t.total += k
		p = p[k:]
	}
	return n, nil
}

// String returns what was kept as valid UTF-8, without a rune that was cut in
// two at its beginning.
func (t *tail) String() string {
	if t.total <= len(t.ring) {
		return strings.ToValidUTF8(string(t.ring[:t.total]), string(utf8.RuneError))
	}
	at := t.total % len(t.ring)
	kept := append(append(make([]byte, 0, len(t.ring)), t.ring[at:]...), t.ring[:at]...)
	for i := 0; i < utf8.UTFMax-1 && len(kept) > 0 && !utf8.RuneStart(kept[0]); i++ {
		kept = kept[1:]
	}
	return strings.ToValidUTF8(string(kept), string(utf8.RuneError))
}
