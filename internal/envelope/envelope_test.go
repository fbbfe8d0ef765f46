package envelope

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func goldenNonce() (n [nonceSize]byte) {
	for i := range n {
		n[i] = byte(i)
	}
	return n
}

// golden reads a stored value that an earlier release wrote, kept as hex.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return data
}

// resum gives a value whose bytes a test changed the right checksum again.
func resum(stored []byte) []byte {
	body := stored[:len(stored)-sumSize]
	return binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
}

func TestEncodeKeepsItsStoredForm(t *testing.T) {
	got, err := encode([]byte("hi"), goldenNonce(), inline())
	if err != nil {
		t.Fatal(err)
	}
	if want := golden(t, "raw.hex"); !bytes.Equal(got, want) {
		t.Errorf("stored form changed:\n got %x\nwant %x", got, want)
	}
}

func TestDecodeReadsWhatWasStored(t *testing.T) {
	for name, want := range map[string]string{
		"raw.hex":     "hi",
		"deflate.hex": strings.Repeat("coordd ", 40),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(golden(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("decoded %q, want %q", got, want)
			}
		})
	}
}

func TestEncodeCompressesOnlyWhenItHelps(t *testing.T) {
	for name, c := range map[string]struct {
		payload []byte
		codec   byte
	}{
		"empty":        {nil, codecRaw},
		"short":        {[]byte("x"), codecRaw},
		"below 1 KiB":  {bytes.Repeat([]byte("ab"), 511), codecRaw},
		"large":        {bytes.Repeat([]byte("ab"), 64<<10), codecDeflate},
		"random":       {noise(4096), codecRaw},
		"repetitive":   {bytes.Repeat([]byte("ab"), 2048), codecDeflate},
		"half a value": {noise(500 << 10), codecRaw},
	} {
		t.Run(name, func(t *testing.T) {
			stored, err := Encode(c.payload)
			if err != nil {
				t.Fatal(err)
			}
			if got := stored[prefixSize]; got != c.codec {
				t.Errorf("codec %d, want %d", got, c.codec)
			}
			if limit := len(c.payload) + headerSize + sumSize; len(stored) > limit {
				t.Errorf("%d bytes stored, want at most %d", len(stored), limit)
			}
			back, err := Decode(stored)
			if err != nil || !bytes.Equal(back, c.payload) {
				t.Errorf("decoded %d bytes, %v; want the %d that were encoded", len(back), err, len(c.payload))
			}
		})
	}
}

func TestTwoValuesOfTheSamePayloadDiffer(t *testing.T) {
	a, errA := Encode([]byte("same"))
	b, errB := Encode([]byte("same"))
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if bytes.Equal(a, b) {
		t.Errorf("two values of one payload are equal: %x", a)
	}
}

func TestEncodeRefusesWhatIsTooLarge(t *testing.T) {
	for name, payload := range map[string][]byte{
		"stored":         noise(MaxPayload - headerSize - sumSize + 1),
		"before packing": make([]byte, MaxDecoded+1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Encode(payload)
			if !errors.Is(err, ErrTooLarge) {
				t.Errorf("error %v, want ErrTooLarge", err)
			}
		})
	}
	if _, err := Encode(noise(MaxPayload - headerSize - sumSize)); err != nil {
		t.Errorf("a value of exactly MaxPayload was refused: %v", err)
	}
}

func TestALargeValueComesBackAndIsNoInlineOne(t *testing.T) {
	for name, payload := range map[string][]byte{
		"stored":         noise(MaxPayload + 1),
		"before packing": make([]byte, MaxDecoded+1),
	} {
		t.Run(name, func(t *testing.T) {
			stored, err := EncodeLarge(payload)
			if err != nil {
				t.Fatal(err)
			}
			back, err := DecodeLarge(stored)
			if err != nil || !bytes.Equal(back, payload) {
				t.Errorf("decoded %d bytes, %v; want the %d that were encoded", len(back), err, len(payload))
			}
		})
	}
	if _, err := EncodeLarge(make([]byte, MaxLarge+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d bytes: error %v, want ErrTooLarge", MaxLarge+1, err)
	}
	stored, err := EncodeLarge(make([]byte, MaxDecoded+1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(stored); !errors.Is(err, ErrDamaged) {
		t.Errorf("Decode of a large value: error %v, want ErrDamaged", err)
	}
}

func TestDecodeNamesTheDamage(t *testing.T) {
	raw := func() []byte { return bytes.Clone(golden(t, "raw.hex")) }
	edit := func(at int, b byte) []byte { v := raw(); v[at] = b; return v }
	bomb := bytes.Clone(golden(t, "deflate.hex"))
	binary.BigEndian.PutUint32(bomb[21:], MaxDecoded+1)
	lying := bytes.Clone(golden(t, "deflate.hex"))
	binary.BigEndian.PutUint32(lying[21:], 3)
	for name, c := range map[string]struct {
		stored []byte
		want   error
	}{
		"empty":               {nil, ErrNoEnvelope},
		"foreign":             {[]byte(`{"json":true}`), ErrNoEnvelope},
		"cut in the header":   {raw()[:20], ErrTruncated},
		"cut in the payload":  {raw()[:len(raw())-1], ErrTruncated},
		"too long":            {append(raw(), 0), ErrChecksum},
		"flipped payload":     {edit(headerSize, 'X'), ErrChecksum},
		"flipped nonce":       {edit(7, 0xff), ErrChecksum},
		"flipped version":     {edit(3, 9), ErrChecksum},
		"unknown codec":       {resum(edit(prefixSize, 7)), ErrUnknownCodec},
		"newer version":       {resum(edit(3, 2)), ErrNewerFormat},
		"inflates too far":    {resum(bomb), ErrDamaged},
		"inflates to another": {resum(lying), ErrDamaged},
		"not deflated":        {resum(edit(prefixSize, codecDeflate)), ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(c.stored)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if errors.Is(err, ErrNewerFormat) && errors.Is(err, ErrDamaged) {
				t.Errorf("error %v is both newer and damaged", err)
			}
		})
	}
	_, err := Decode(resum(edit(3, 2)))
	if !strings.Contains(err.Error(), "version 2") || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("error %q does not name both versions", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(golden(f, "raw.hex"))
	f.Add(golden(f, "deflate.hex"))
	f.Add([]byte("cdv\x02"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, stored []byte) {
		// The checksum would keep the fuzzer out of everything behind it.
		for _, value := range [][]byte{stored, withSum(stored)} {
			payload, err := Decode(value)
			if err != nil {
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewerFormat) {
					t.Fatalf("error of no kind: %v", err)
				}
				continue
			}
			if len(payload) > MaxDecoded {
				t.Fatalf("%d bytes decoded, more than the limit", len(payload))
			}
		}
	})
}

func withSum(stored []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(stored), crc32.Checksum(stored, castagnoli))
}

// noise returns bytes that do not compress.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}
