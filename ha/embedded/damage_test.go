package embedded_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/txn"
)

// filled returns the bytes of a file with values, free pages, long values and more
// than one level of pages, and what it holds.
func filled(t *testing.T) (data []byte, content map[string]string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "data")
	p := open(t, file)
	for i := range 40 {
		p.commit(t, txn.Op{Kind: txn.Create, Path: fmt.Sprintf("a/%d", i), Data: []byte(strings.Repeat("x", 300))},
			txn.Op{Kind: txn.Create, Path: fmt.Sprintf("b/%d", i), Data: []byte(strings.Repeat("y", 250*i))})
	}
	for i := range 20 {
		p.commit(t, txn.Op{Kind: txn.Delete, Path: fmt.Sprintf("b/%d", 2*i)})
	}
	content = p.content(t, "a", "b")
	p.stop()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data, content
}

// reopened opens a file of these bytes: it is refused, or it holds the content.
func reopened(t *testing.T, data []byte, content map[string]string) (refusal error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := newBackend(t, embedded.Config{File: file})
	p := b.Participant("a")
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	won := contendWith(ctx, p)
	select {
	case err := <-ran:
		if !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("the error lacks the file or the remedy: %v", err)
		}
		if after, readErr := os.ReadFile(file); readErr != nil || string(after) != string(data) {
			t.Errorf("a refused file was changed (%v)", readErr)
		}
		cancel()
		<-won
		return err
	case tenure := <-won:
		opened := &process{backend: b, p: p, tenure: tenure, guard: tenure.Guard()}
		if got := opened.content(t, "a", "b"); !maps.Equal(got, content) {
			t.Errorf("an opened file holds %d values, or others, want %d", len(got), len(content))
		}
		opened.commit(t, txn.Op{Kind: txn.Create, Path: "c", Data: make([]byte, 50_000)})
		cancel()
		<-ran
		return nil
	}
}

func TestADamagedFileIsRefusedOrHoldsAll(t *testing.T) {
	data, content := filled(t)
	if err := reopened(t, data, content); err != nil {
		t.Fatalf("the whole file: %v", err)
	}
	random := rand.New(rand.NewPCG(4, 8))
	refusals := 0
	for range 300 {
		damaged := []byte(string(data))
		damaged[random.IntN(len(damaged))] ^= 1 << random.IntN(8)
		if reopened(t, damaged, content) != nil {
			refusals++
		}
	}
	for page := range len(data) / os.Getpagesize() {
		damaged := []byte(string(data))
		clear(damaged[page*os.Getpagesize() : (page+1)*os.Getpagesize()])
		if reopened(t, damaged, content) != nil {
			refusals++
		}
		// The first bytes of a page say what it is and where its values stand.
		damaged = []byte(string(data))
		damaged[page*os.Getpagesize()+random.IntN(64)] ^= 1 << random.IntN(8)
		if reopened(t, damaged, content) != nil {
			refusals++
		}
	}
	if refusals < 50 {
		t.Errorf("%d damaged files were refused, want more for this to tell anything", refusals)
	}
}

func TestATruncatedFileIsRefused(t *testing.T) {
	data, content := filled(t)
	for _, size := range []int{0, 1, 79, 80, 4096, 4097, 8191, 8192, 16384, 32768} {
		if reopened(t, data[:size], content) == nil {
			t.Errorf("the first %d bytes of %d were opened", size, len(data))
		}
	}
}

func TestAForeignFileIsRefused(t *testing.T) {
	bolt := func(bucket, key, value string) []byte {
		file := filepath.Join(t.TempDir(), "bolt")
		db, err := bbolt.Open(file, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte(bucket))
			if err != nil {
				return err
			}
			return b.Put([]byte(key), []byte(value))
		})
		if err != nil || db.Close() != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for want, data := range map[string][]byte{
		"is not a data file of coordd":  []byte(strings.Repeat("a text\n", 10_000)),
		`it has a bucket "other"`:       bolt("other", "key", "value"),
		"use the release that wrote it": bolt("coordd", "format", "2"),
		"it names no format":            bolt("data", "a/b", "value"),
	} {
		if err := reopened(t, data, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open: %v, want an error with %q", err, want)
		}
	}
}
