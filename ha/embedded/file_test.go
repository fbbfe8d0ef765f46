package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// process is one life of a program that uses a file: a backend, a participant that
// leads, and its guard.
type process struct {
	backend *embedded.Backend
	p       *embedded.Participant
	tenure  election.Tenure
	guard   leader.Guard
	stop    func()
}

func open(t testing.TB, file string) *process {
	t.Helper()
	b := newBackend(t, embedded.Config{File: file})
	p := b.Participant("a")
	stop := run(t, p)
	tenure := campaign(t, p)
	return &process{backend: b, p: p, tenure: tenure, guard: tenure.Guard(), stop: stop}
}

func (p *process) commit(t testing.TB, ops ...txn.Op) {
	t.Helper()
	if err := p.p.Store().Commit(t.Context(), p.guard, ops...); err != nil {
		t.Fatal(err)
	}
}

// content returns all that is stored in the folders.
func (p *process) content(t testing.TB, folders ...string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, folder := range folders {
		names, err := p.p.Store().List(t.Context(), p.guard, folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := p.p.Store().Get(t.Context(), p.guard, folder+"/"+name)
			if err != nil {
				t.Fatal(err)
			}
			all[folder+"/"+name] = string(data)
		}
	}
	return all
}

// refused opens a file that cannot be used, and checks that it was left alone and
// that the error names it.
func refused(t testing.TB, file string) error {
	t.Helper()
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), sessionTimeout)
	defer cancel()
	err = newBackend(t, embedded.Config{File: file}).Participant("a").Run(ctx)
	if !strings.Contains(err.Error(), file) {
		t.Errorf("the error does not name %s: %v", file, err)
	}
	after, readErr := os.ReadFile(file)
	if readErr != nil || !bytes.Equal(before, after) {
		t.Errorf("the refused file was changed: %v", readErr)
	}
	return err
}

func TestAFileKeepsWhatWasCommittedAndEpochsGrow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	want := make(map[string]string)
	var last leader.Epoch
	for life := range 5 {
		p := open(t, file)
		if got := p.content(t, "a", "b"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("life %d finds %v, want %v", life, got, want)
		}
		if epoch := p.guard.Epoch(); epoch <= last {
			t.Fatalf("life %d has epoch %d after %d, want it to grow", life, epoch, last)
		}
		if err := p.tenure.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.guard = campaign(t, p.p).Guard() // without a transaction: its epoch counts, too
		last = p.guard.Epoch()
		key := fmt.Sprintf("a/%d", life)
		p.commit(t, txn.Op{Kind: txn.Create, Path: key, Data: []byte(key)}, txn.Op{Kind: txn.Create, Path: "b/" + key[2:]})
		want[key], want["b/"+key[2:]] = key, ""
		if life > 0 {
			p.commit(t, txn.Op{Kind: txn.Put, Path: "a/0", Data: []byte(key)},
				txn.Op{Kind: txn.Delete, Path: fmt.Sprintf("b/%d", life-1)}, txn.Op{Kind: txn.Remove, Path: "b/none"})
			want["a/0"] = key
			delete(want, fmt.Sprintf("b/%d", life-1))
		}
		p.stop()
	}
}

// A copy of the file is what a process finds that starts after a kill.
func TestEveryAcknowledgedTransactionIsInTheFile(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "data")
	p := open(t, file)
	for i := range 20 {
		p.commit(t, txn.Op{Kind: txn.Create, Path: fmt.Sprintf("a/%d", i), Data: bytes.Repeat([]byte{'x'}, 1000*i)})
		now, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		killed := filepath.Join(folder, fmt.Sprint("killed-", i))
		if err := os.WriteFile(killed, now, 0o600); err != nil {
			t.Fatal(err)
		}
		next := open(t, killed)
		if got := len(next.content(t, "a")); got != i+1 {
			t.Errorf("after %d transactions a killed process leaves %d values", i+1, got)
		}
		if next.guard.Epoch() <= p.guard.Epoch() {
			t.Errorf("epoch %d follows %d", next.guard.Epoch(), p.guard.Epoch())
		}
		next.stop()
	}
}

func TestAFileIsInUseByOneBackend(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	first := open(t, file)
	err := refused(t, file)
	if !errors.Is(err, embedded.ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("a second backend: %v, want ErrInUse that names process %d", err, os.Getpid())
	}
	first.commit(t, txn.Op{Kind: txn.Create, Path: "a/1"})
	first.stop()
	if got := open(t, file).content(t, "a"); len(got) != 1 {
		t.Errorf("the next one finds %v", got)
	}
}

func TestParticipantsShareTheFileOfTheirBackend(t *testing.T) {
	b := newBackend(t, embedded.Config{File: filepath.Join(t.TempDir(), "data")})
	first, second := b.Participant("a"), b.Participant("b")
	stopFirst, stopSecond := run(t, first), run(t, second)
	tenure := campaign(t, first)
	if err := create(first, tenure.Guard(), "x"); err != nil {
		t.Fatal(err)
	}
	stopFirst()
	next := campaign(t, second)
	if err := create(second, next.Guard(), "y"); err != nil {
		t.Errorf("after the first participant has ended: %v", err)
	}
	stopSecond()
	third := started(t, b, "c")
	last := campaign(t, third)
	for _, path := range []string{"x", "y"} {
		if _, err := third.Store().Get(t.Context(), last.Guard(), path); err != nil {
			t.Errorf("after all have ended: %v", err)
		}
	}
}

// A term that ends while its transaction is on its way to the disk: the transaction
// stands before the next term, or is not there at all.
func TestNobodyLeadsWhileATransactionIsOnItsWayToTheDisk(t *testing.T) {
	b := newBackend(t, embedded.Config{File: filepath.Join(t.TempDir(), "data")})
	p, other := started(t, b, "a"), started(t, b, "b")
	guard := campaign(t, p).Guard()
	release, err := embedded.Hold(b)
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { wrote <- create(p, guard, "x") }()
	for !embedded.Writing(b) {
		runtime.Gosched()
	}
	p.Expire()
	seen := make(chan error, 1)
	granted := make(chan struct{})
	go func() {
		tenure, err := other.Election().Campaign(context.WithoutCancel(t.Context()), election.Candidate{ID: "b", StopGrace: grace})
		close(granted)
		if err == nil {
			_, err = other.Store().Get(context.WithoutCancel(t.Context()), tenure.Guard(), "x")
		}
		seen <- err
	}()
	for ids, changed := b.Candidates(); len(ids) == 0 || ids[0] != "b"; ids, changed = b.Candidates() {
		<-changed
	}
	for range 1000 {
		runtime.Gosched()
	}
	select {
	case <-granted:
		t.Error("the next term began while a transaction of the last one was on its way")
	default:
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Errorf("the transaction that had begun: %v, want it to end", err)
	}
	if err := <-seen; err != nil {
		t.Errorf("the next term reads %v, want what the last one wrote", err)
	}
}

// limited lets no file grow beyond its size, as a full disk does.
func limited(t testing.TB, file string) (restore func()) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	full := syscall.Rlimit{Cur: uint64(info.Size()), Max: old.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
	}
}

func TestAFullDiskFailsTheTransactionAsAWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	p := open(t, file)
	p.commit(t, txn.Op{Kind: txn.Create, Path: "a/1", Data: []byte("one")})
	restore := limited(t, file)
	err := p.p.Store().Commit(t.Context(), p.guard,
		txn.Op{Kind: txn.Put, Path: "a/1", Data: []byte("two")},
		txn.Op{Kind: txn.Create, Path: "a/2", Data: make([]byte, 900_000)})
	restore()
	if err == nil || errors.Is(err, txn.ErrUnknownOutcome) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "nothing was stored") {
		t.Fatalf("commit to a full disk: %v, want an error that names the file and says that nothing was stored", err)
	}
	want := map[string]string{"a/1": "one"}
	if got := p.content(t, "a"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the term reads %v, want %v", got, want)
	}
	p.commit(t, txn.Op{Kind: txn.Create, Path: "a/3", Data: make([]byte, 900_000)})
	p.stop()
	if got := open(t, file).content(t, "a"); got["a/1"] != "one" || len(got) != 2 {
		t.Errorf("the next process finds %d values, a/1 is %q; want 2 and %q", len(got), got["a/1"], "one")
	}
}

func TestAWriteWithUnknownOutcomeEndsAllTerms(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	b := newBackend(t, embedded.Config{File: file})
	p := b.Participant("a")
	ran := make(chan error, 1)
	go func() { ran <- p.Run(t.Context()) }()
	tenure := campaign(t, p)
	if err := embedded.Overwrite(b); err != nil {
		t.Fatal(err)
	}
	restore := limited(t, file)
	err := p.Store().Commit(t.Context(), tenure.Guard(), txn.Op{Kind: txn.Create, Path: "a/2", Data: make([]byte, 900_000)})
	restore()
	if !errors.Is(err, txn.ErrUnknownOutcome) || !strings.Contains(err.Error(), file) {
		t.Errorf("commit: %v, want ErrUnknownOutcome that names the file", err)
	}
	if err := <-ran; !errors.Is(err, txn.ErrUnknownOutcome) {
		t.Errorf("Run returned %v, want why no more can be written", err)
	}
	if lost(t, tenure) == nil {
		t.Error("the term goes on")
	}
}
