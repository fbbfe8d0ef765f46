package wire

import (
	"iter"

	"google.golang.org/protobuf/proto"
)

// chunkSize is about how many bytes of a list go in one message, where a list may go in
// several: the results of many subtasks may be larger than a message.
const chunkSize = 4 << 20

// chunks returns the list in parts of that size, or of one element. An empty list is one
// part.
func chunks[M proto.Message](all []M) iter.Seq[[]M] {
	return func(yield func([]M) bool) {
		begin, size := 0, 0
		for i, m := range all {
			next := proto.Size(m)
			if size += next; size > chunkSize && i > begin {
				if !yield(all[begin:i]) {
					return
				}
				begin, size = i, next
			}
		}
		yield(all[begin:])
	}
}
