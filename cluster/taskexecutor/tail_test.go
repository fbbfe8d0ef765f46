package taskexecutor

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTailKeepsTheLastBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 20).Draw(t, "size")
		tl := newTail(size)
		var all strings.Builder
		for _, chunk := range rapid.SliceOf(rapid.StringMatching(`[a-z]{0,30}`)).Draw(t, "chunks") {
			all.WriteString(chunk)
			if n, err := tl.Write([]byte(chunk)); n != len(chunk) || err != nil {
				t.Fatalf("Write returned %d, %v for %d bytes", n, err, len(chunk))
			}
		}
		want := all.String()
		want = want[max(0, len(want)-size):]
		if got := tl.String(); got != want {
			t.Fatalf("kept %q of %q, want %q", got, all.String(), want)
		}
	})
}

func TestTailBeginsWithAWholeRune(t *testing.T) {
	tl := newTail(4)
	_, _ = tl.Write([]byte("aé€")) // the last four bytes are half an é and the €
	if got := tl.String(); got != "€" {
		t.Errorf("kept %q, want %q", got, "€")
	}
	_, _ = tl.Write([]byte("\xffx"))
	if got := tl.String(); !strings.HasSuffix(got, "\uFFFDx") {
		t.Errorf("kept %q, want the invalid byte replaced", got)
	}
}
