package taskexecutor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/coordd/coordd/cluster/gateway"
)

// journal is the output of one attempt: the last of it in files, a little of its end
// in memory. One goroutine writes; any number may read.
type journal struct {
	attempt gateway.AttemptID
	home    string
	limits  journalLimits

	// The writer's own.
	file *os.File
	tail *tail
	// lost is why no more goes to disk.
	lost error

	mu sync.Mutex
	// pages are the files that are kept, oldest first.
	pages []page
	// total counts the bytes that went to disk.
	total int64
	ended bool
	// news is closed at the next change, nil while nobody waits for one.
	news chan struct{}
}

// journalLimits bound what is kept of an attempt's output.
type journalLimits struct {
	fileSize int64
	files    int
	tail     int
}

// page is one file of a journal. Its name is never used again, so that a reader finds
// what it looks for, or nothing.
type page struct {
	number      int
	start, size int64
}

func newJournal(id gateway.AttemptID, home string, limits journalLimits) *journal {
	return &journal{attempt: id, home: home, limits: limits}
}

// Write implements io.Writer. It never fails: what the disk does not take is in the
// tail only.
func (j *journal) Write(p []byte) (int, error) {
	n := len(p)
	if j.tail == nil {
		j.tail = newTail(j.limits.tail)
	}
	_, _ = j.tail.Write(p)
	for len(p) > 0 && j.lost == nil {
		room, err := j.room()
		if err == nil {
			var k int
			k, err = j.file.Write(p[:min(int64(len(p)), room)])
			p = p[k:]
			j.wrote(k)
		}
		j.lost = err
	}
	return n, nil
}

// room returns how much fits into the current file, having begun another one if that
// was full.
func (j *journal) room() (int64, error) {
	j.mu.Lock()
	number := 0
	if n := len(j.pages); n > 0 {
		last := j.pages[n-1]
		if room := j.limits.fileSize - last.size; room > 0 {
			j.mu.Unlock()
			return room, nil
		}
		number = last.number + 1
	}
	j.mu.Unlock()
	if err := j.turn(number); err != nil {
		return 0, err
	}
	return j.limits.fileSize, nil
}

// turn begins a file, and removes the oldest when there are too many.
func (j *journal) turn(number int) error {
	if err := j.close(); err != nil {
		return err
	}
	if number == 0 {
		if err := os.MkdirAll(j.home, 0o700); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(j.path(number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	j.file = file
	for _, old := range j.added(number) {
		if err := os.Remove(j.path(old.number)); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) path(number int) string {
	return filepath.Join(j.home, logPrefix+strconv.Itoa(number))
}

// added counts a new page in, and returns those that are too many.
func (j *journal) added(number int) []page {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pages = append(j.pages, page{number: number, start: j.total})
	surplus := max(0, len(j.pages)-j.limits.files)
	old := slices.Clone(j.pages[:surplus])
	j.pages = slices.Delete(j.pages, 0, surplus)
	return old
}

func (j *journal) wrote(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pages[len(j.pages)-1].size += int64(n)
	j.total += int64(n)
	j.announce()
}

// announce wakes those who wait. It is called with mu held.
func (j *journal) announce() {
	if j.news != nil {
		close(j.news)
		j.news = nil
	}
}

// finish ends the journal and returns the tail. The error says why not all of the
// output is on disk. The writer calls it, once.
func (j *journal) finish() (string, error) {
	if err := j.close(); j.lost == nil {
		j.lost = err
	}
	j.mu.Lock()
	j.ended = true
	j.announce()
	j.mu.Unlock()
	if j.tail == nil {
		return "", j.lost
	}
	text := j.tail.String()
	j.tail = nil // the memory is wanted for what runs
	return text, j.lost
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	file := j.file
	j.file = nil
	return file.Close()
}

// silent reports whether nothing was written.
func (j *journal) silent() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.total == 0
}

// view is what a reader sees of a journal at one moment.
type view struct {
	pages []page
	total int64
	ended bool
	news  <-chan struct{}
}

func (j *journal) look() view {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.news == nil && !j.ended {
		j.news = make(chan struct{})
	}
	return view{slices.Clone(j.pages), j.total, j.ended, j.news}
}

// start returns the offset of the first byte that is kept.
func (v view) start() int64 {
	if len(v.pages) == 0 {
		return v.total
	}
	return v.pages[0].start
}

// read returns at most limit bytes from the offset; a negative one counts from the
// end. news is closed when there may be more. Errors: ErrNoLog when the files are
// gone.
func (j *journal) read(offset int64, limit int) (chunk gateway.LogChunk, news <-chan struct{}, err error) {
	for previous := int64(-1); ; {
		v := j.look()
		from := offset
		if from < 0 {
			from = max(0, v.total+from)
		}
		from = min(max(from, v.start()), v.total)
		data, err := j.collect(v, from, limit)
		switch {
		case errors.Is(err, fs.ErrNotExist) && v.start() > previous:
			previous = v.start() // rotated away since; look again
			continue
		case errors.Is(err, fs.ErrNotExist):
			return gateway.LogChunk{}, nil, gateway.ErrNoLog
		case err != nil:
			return gateway.LogChunk{}, nil, err
		}
		ended := v.ended && from+int64(len(data)) == v.total
		return gateway.LogChunk{Attempt: j.attempt, Offset: from, Data: data, Ended: ended}, v.news, nil
	}
}

// collect reads across the pages.
func (j *journal) collect(v view, from int64, limit int) ([]byte, error) {
	var data []byte
	for _, p := range v.pages {
		skip := max(0, from-p.start)
		n := min(p.size-skip, int64(limit-len(data)))
		if n <= 0 {
			continue
		}
		part, err := readPart(j.path(p.number), skip, int(n))
		if err != nil {
			return nil, fmt.Errorf("read the output of %s: %w", label(j.attempt), err)
		}
		data = append(data, part...)
	}
	return data, nil
}

func readPart(path string, offset int64, n int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	part := make([]byte, n)
	_, err = io.ReadFull(io.NewSectionReader(file, offset, int64(n)), part)
	return part, err
}
