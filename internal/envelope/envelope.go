// Package envelope wraps every value that coordd stores: it says in which format
// the value is, detects damage, compresses when that helps, and makes any two
// values differ.
//
// A stored value is, in big-endian order:
//
//	offset  size  content
//	0       3     magic "cdv"
//	3       1     format version, 1
//	4       1     codec: 0 raw, 1 deflate
//	5       16    nonce, random
//	21      4     size of the payload before compression
//	25      4     size n of the payload as stored
//	29      n     payload
//	29+n    4     CRC-32C of everything before
//
// Magic, version and the trailing checksum keep their places in every version to
// come: so a damaged version byte is told from a newer release's value, and one
// flipped bit never looks like a cluster that is too new.
//
// The nonce is what lets a writer that lost a reply recognise its own value:
// another writer's value differs, even when it says the same.
package envelope

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

const (
	// MaxPayload limits a stored value, envelope included, in bytes. A packet over
	// ZooKeeper's limit of 1 MiB closes the connection without an error code, and
	// deposes the leader that sent it.
	MaxPayload = 512 << 10
	// MaxDecoded limits a payload before compression, in bytes, so that a small
	// stored value cannot fill the memory of every later leader.
	MaxDecoded = 16 << 20
	// MaxLarge limits a value of EncodeLarge, envelope included and before
	// compression alike, in bytes.
	MaxLarge = 64 << 20

	magic      = "cdv"
	version    = 1
	headerSize = 29
	prefixSize = len(magic) + 1
	sumSize    = 4
	nonceSize  = 16
)

const (
	codecRaw     = 0
	codecDeflate = 1
)

// What can be wrong with a value; compare with errors.Is.
var (
	// ErrTooLarge: the value exceeds MaxPayload or MaxDecoded, or MaxLarge.
	ErrTooLarge = errors.New("value exceeds the limit")
	// ErrNewerFormat: a newer coordd wrote the value. It is not damaged; whoever
	// finds it must leave it alone.
	ErrNewerFormat = errors.New("written in a newer format")
	// ErrDamaged: the value is not what was stored. All errors below wrap it.
	ErrDamaged = errors.New("value is damaged")
	// ErrNoEnvelope: the value does not begin like one of coordd's.
	ErrNoEnvelope = fmt.Errorf("%w: it is not a value of coordd", ErrDamaged)
	// ErrTruncated: the value is shorter than it says.
	ErrTruncated = fmt.Errorf("%w: it is truncated", ErrDamaged)
	// ErrChecksum: the checksum does not match.
	ErrChecksum = fmt.Errorf("%w: wrong checksum", ErrDamaged)
	// ErrUnknownCodec: the payload is in an encoding that this format has not.
	ErrUnknownCodec = fmt.Errorf("%w: unknown codec", ErrDamaged)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// limits are the sizes that a value may have, in bytes.
type limits struct{ stored, decoded int }

// inline are the limits of what stands in a backend, large those of what stands
// outside of it.
func inline() limits { return limits{stored: MaxPayload, decoded: MaxDecoded} }
func large() limits  { return limits{stored: MaxLarge, decoded: MaxLarge} }

// Encode wraps payload with a fresh nonce. Its only error wraps ErrTooLarge and
// says by how much the limit is exceeded.
func Encode(payload []byte) ([]byte, error) { return encode(payload, newNonce(), inline()) }

// EncodeLarge is Encode for a value that is stored elsewhere than in a backend, up
// to MaxLarge. Only DecodeLarge reads it.
func EncodeLarge(payload []byte) ([]byte, error) { return encode(payload, newNonce(), large()) }

func newNonce() (nonce [nonceSize]byte) {
	_, _ = rand.Read(nonce[:]) // never fails, says crypto/rand
	return nonce
}

func encode(payload []byte, nonce [nonceSize]byte, limit limits) ([]byte, error) {
	if len(payload) > limit.decoded {
		return nil, fmt.Errorf("%w: %d bytes of at most %d", ErrTooLarge, len(payload), limit.decoded)
	}
	codec, body := compress(payload)
	size := headerSize + len(body) + sumSize
	if size > limit.stored {
		return nil, fmt.Errorf("%w: %d bytes compressed, of at most %d", ErrTooLarge, size, limit.stored)
	}
	out := make([]byte, 0, size)
	out = append(out, magic...)
	out = append(out, version, codec)
	out = append(out, nonce[:]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(payload))) //nolint:gosec // within limit
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))    //nolint:gosec // within limit
	out = append(out, body...)
	return binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli)), nil
}

const (
	// rawBelow is the size under which compressing costs more than it saves: a znode
	// takes some hundred bytes whatever is in it.
	rawBelow = 1 << 10
	// fastBelow is the size under which the fast compressor is used: the thorough one
	// takes twice as long (BenchmarkEncode), and saves little of what is small.
	fastBelow = 64 << 10
)

// compress returns the smaller of the payload and its deflated form. Deflating
// into memory cannot fail; if it did, the payload would be stored raw.
func compress(payload []byte) (codec byte, body []byte) {
	var w *flate.Writer
	switch n := len(payload); {
	case n < rawBelow:
		return codecRaw, payload
	case n < fastBelow:
		w = fast.Get().(*flate.Writer) //nolint:forcetypeassert // nothing else is in there
		defer fast.Put(w)
	default:
		w = thorough.Get().(*flate.Writer) //nolint:forcetypeassert // as above
		defer thorough.Put(w)
	}
	var buf bytes.Buffer
	w.Reset(&buf)
	if _, err := w.Write(payload); err != nil {
		return codecRaw, payload
	}
	if err := w.Close(); err != nil || buf.Len() >= len(payload) {
		return codecRaw, payload
	}
	return codecDeflate, buf.Bytes()
}

// The compressors of the two levels are used again, as each has hundreds of kilobytes
// of tables.
var (
	fast     = sync.Pool{New: func() any { return newWriter(flate.BestSpeed) }}
	thorough = sync.Pool{New: func() any { return newWriter(flate.DefaultCompression) }}
)

func newWriter(level int) *flate.Writer {
	w, err := flate.NewWriter(nil, level)
	if err != nil {
		panic(err) // it knows the level
	}
	return w
}

// Decode returns the payload that Encode wrapped. It never returns a payload
// that differs from it. Errors: ErrNewerFormat, which names both versions, or one
// that wraps ErrDamaged.
func Decode(stored []byte) ([]byte, error) { return decode(stored, inline()) }

// DecodeLarge is Decode for what EncodeLarge wrapped.
func DecodeLarge(stored []byte) ([]byte, error) { return decode(stored, large()) }

func decode(stored []byte, limit limits) ([]byte, error) {
	if len(stored) < prefixSize || string(stored[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w (%d bytes)", ErrNoEnvelope, len(stored))
	}
	if stored[len(magic)] != version {
		return nil, otherVersion(stored)
	}
	if len(stored) < headerSize+sumSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrTruncated, len(stored))
	}
	decoded := int64(binary.BigEndian.Uint32(stored[21:]))
	size := headerSize + int64(binary.BigEndian.Uint32(stored[25:])) + sumSize
	if int64(len(stored)) < size {
		return nil, fmt.Errorf("%w: %d of %d bytes", ErrTruncated, len(stored), size)
	}
	if int64(len(stored)) > size || !sumMatches(stored) {
		return nil, fmt.Errorf("%w (%d bytes)", ErrChecksum, len(stored))
	}
	body := stored[headerSize : len(stored)-sumSize]
	switch codec := stored[prefixSize]; codec {
	case codecRaw:
		if int64(len(body)) != decoded {
			return nil, fmt.Errorf("%w: payload of %d bytes, expected %d", ErrDamaged, len(body), decoded)
		}
		return bytes.Clone(body), nil
	case codecDeflate:
		return inflate(body, decoded, limit)
	default:
		return nil, fmt.Errorf("%w %d", ErrUnknownCodec, codec)
	}
}

// otherVersion tells a newer release's value from one whose version byte was
// damaged.
func otherVersion(stored []byte) error {
	if len(stored) < prefixSize+sumSize || !sumMatches(stored) {
		return fmt.Errorf("%w (%d bytes)", ErrChecksum, len(stored))
	}
	return NewerFormat("envelope", int(stored[len(magic)]), version)
}

// NewerFormat returns the error for something written in format version got by
// a newer release, while this one reads up to reads. It wraps ErrNewerFormat.
func NewerFormat(what string, got, reads int) error {
	return fmt.Errorf("%s: %w: version %d, this coordd reads up to version %d; upgrade this node", what, ErrNewerFormat, got, reads)
}

func sumMatches(stored []byte) bool {
	at := len(stored) - sumSize
	return binary.BigEndian.Uint32(stored[at:]) == crc32.Checksum(stored[:at], castagnoli)
}

// inflate decompresses body, which must give exactly size bytes. It allocates no
// more than it finds, and never more than the limit.
func inflate(body []byte, size int64, limit limits) ([]byte, error) {
	if size > int64(limit.decoded) {
		return nil, fmt.Errorf("%w: payload of %d bytes, the limit is %d", ErrDamaged, size, limit.decoded)
	}
	payload, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(body)), size+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if int64(len(payload)) != size {
		return nil, fmt.Errorf("%w: payload of %d bytes, expected %d", ErrDamaged, len(payload), size)
	}
	return payload, nil
}
