package jobstore

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/coordd/coordd/job"
)

// set is a set of subtasks, by their number in the job. The zero set is empty.
//
// Its text is the shorter of two forms: the runs of its members ("0-4999,5003"),
// which is short while subtasks finish about in order, or a bitmap ("b:" and base64
// of its bytes, the lowest numbers first), which is short whatever the order is.
type set struct{ words []uint64 }

const (
	wordBits     = 64
	bitmapPrefix = "b:"
)

func (s *set) add(n int) {
	if i := n / wordBits; i >= len(s.words) {
		s.words = append(s.words, make([]uint64, i+1-len(s.words))...)
	}
	s.words[n/wordBits] |= 1 << (n % wordBits)
}

// remove keeps the last word other than zero, so that equal sets are equal values.
func (s *set) remove(n int) {
	if !s.has(n) {
		return
	}
	s.words[n/wordBits] &^= 1 << (n % wordBits)
	s.trim()
}

func (s *set) trim() {
	end := len(s.words)
	for end > 0 && s.words[end-1] == 0 {
		end--
	}
	if s.words = s.words[:end]; end == 0 {
		s.words = nil
	}
}

func (s set) has(n int) bool {
	i := n / wordBits
	return i < len(s.words) && s.words[i]&(1<<(n%wordBits)) != 0
}

// include adds the members of another.
func (s *set) include(o set) {
	if n := len(o.words) - len(s.words); n > 0 {
		s.words = append(s.words, make([]uint64, n)...)
	}
	for i, w := range o.words {
		s.words[i] |= w
	}
}

func (s set) overlaps(o set) bool {
	for i := range min(len(s.words), len(o.words)) {
		if s.words[i]&o.words[i] != 0 {
			return true
		}
	}
	return false
}

// within says whether all members are members of another.
func (s set) within(o set) bool {
	for i, w := range s.words {
		if i < len(o.words) {
			w &^= o.words[i]
		}
		if w != 0 {
			return false
		}
	}
	return true
}

func (s set) clone() set { return set{words: slices.Clone(s.words)} }

// end returns the number after the greatest member.
func (s set) end() int {
	if len(s.words) == 0 {
		return 0
	}
	last := len(s.words) - 1
	return last*wordBits + bits.Len64(s.words[last])
}

// next returns the first number from n on that is a member, or is none; the end when
// there is no such member.
func (s set) next(n int, member bool) int {
	for i := n / wordBits; i < len(s.words); i++ {
		w := s.words[i]
		if !member {
			w = ^w
		}
		if i == n/wordBits {
			w &= ^uint64(0) << (n % wordBits)
		}
		if w != 0 {
			return i*wordBits + bits.TrailingZeros64(w)
		}
	}
	return s.end()
}

// runs yields the runs of members: the first, and the one after the last.
func (s set) runs() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for n := s.next(0, true); n < s.end(); {
			end := s.next(n, false)
			if !yield(n, end) {
				return
			}
			n = s.next(end, true)
		}
	}
}

// all yields the members in order.
func (s set) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for first, end := range s.runs() {
			for n := first; n < end; n++ {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// IsZero implements the rule of JSON's omitzero.
func (s set) IsZero() bool { return len(s.words) == 0 }

// MarshalText implements encoding.TextMarshaler.
func (s set) MarshalText() ([]byte, error) {
	bytesLen := (s.end() + 7) / 8
	limit := len(bitmapPrefix) + base64.RawStdEncoding.EncodedLen(bytesLen)
	var text []byte
	for first, end := range s.runs() {
		if len(text) > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(first), 10)
		if end > first+1 {
			text = append(text, '-')
			text = strconv.AppendInt(text, int64(end-1), 10)
		}
		if len(text) > limit {
			return s.bitmap(bytesLen), nil
		}
	}
	return text, nil
}

func (s set) bitmap(size int) []byte {
	raw := make([]byte, 0, len(s.words)*8)
	for _, w := range s.words {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	return base64.RawStdEncoding.AppendEncode([]byte(bitmapPrefix), raw[:size])
}

// UnmarshalText implements encoding.TextUnmarshaler. It takes no more memory than a
// job's subtasks may need.
func (s *set) UnmarshalText(text []byte) error {
	*s = set{}
	if raw, ok := bytes.CutPrefix(text, []byte(bitmapPrefix)); ok {
		return s.setBitmap(raw)
	}
	for run := range strings.SplitSeq(string(text), ",") {
		from, to, isRun := strings.Cut(run, "-")
		if !isRun {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("run %q of subtasks: %w", run, err)
		}
		if first < s.end() || last < first || last >= job.MaxSubtasks {
			return fmt.Errorf("run %q of subtasks is out of order, or beyond %d", run, job.MaxSubtasks)
		}
		for n := first; n <= last; n++ {
			s.add(n)
		}
	}
	return nil
}

func (s *set) setBitmap(text []byte) error {
	raw, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("bitmap of subtasks: %w", err)
	}
	if len(raw) > (job.MaxSubtasks+7)/8 {
		return fmt.Errorf("bitmap of %d bytes is beyond %d subtasks", len(raw), job.MaxSubtasks)
	}
	raw = append(raw, make([]byte, (8-len(raw)%8)%8)...)
	for len(raw) > 0 {
		s.words = append(s.words, binary.LittleEndian.Uint64(raw))
		raw = raw[8:]
	}
	s.trim()
	return nil
}
