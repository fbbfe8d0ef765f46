package blob

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/coordd/coordd/internal/envelope"
)

// A file is, in big-endian order:
//
//	offset  size  content
//	0       8     magic "cdblob", format version, newline
//	8       32    SHA-256 of the version, the name, a zero byte, and the value
//	40      8     size n of the value
//	48      n     value
//
// All but the value keep their places in every version to come, so that a damaged
// version byte is told from a newer release's file.
const (
	magic         = "cdblob"
	formatVersion = 1
	sumAt         = len(magic) + 2
	sizeAt        = sumAt + sha256.Size
	headerSize    = sizeAt + 8
)

// seal returns the file of a value.
func seal(name string, data []byte) []byte {
	out := make([]byte, 0, headerSize+len(data))
	out = append(out, magic...)
	out = append(out, '0'+formatVersion, '\n')
	sum := sumOf('0'+formatVersion, name, data)
	out = append(out, sum[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(len(data)))
	return append(out, data...)
}

// open returns the value of a file. Errors: ErrDamaged or ErrNewerFormat.
func open(name string, content []byte) ([]byte, error) {
	if len(content) < headerSize || string(content[:len(magic)]) != magic || content[sumAt-1] != '\n' {
		return nil, fmt.Errorf("%w: it is no blob (%d bytes)", ErrDamaged, len(content))
	}
	data := content[headerSize:]
	if size := binary.BigEndian.Uint64(content[sizeAt:]); size != uint64(len(data)) {
		return nil, fmt.Errorf("%w: %d bytes, expected %d", ErrDamaged, len(data), size)
	}
	version := content[len(magic)]
	if sum := sumOf(version, name, data); string(sum[:]) != string(content[sumAt:sizeAt]) {
		return nil, fmt.Errorf("%w: wrong checksum (%d bytes)", ErrDamaged, len(data))
	}
	if version != '0'+formatVersion {
		return nil, envelope.NewerFormat("blob", int(version)-'0', formatVersion)
	}
	return data, nil
}

func sumOf(version byte, name string, data []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	_, _ = h.Write(append([]byte{version}, name+"\x00"...))
	_, _ = h.Write(data)
	h.Sum(sum[:0])
	return sum
}
