package blob

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/coordd/coordd/internal/envelope"
)

// markFile is the file that says whose folder it is.
const markFile = "coordd-blobs.json"

// markFormat is the version of record. The next one is read, too.
const markFormat = 1

// record is what the folder and the backend hold, as JSON: in the folder as it is,
// in the backend in an envelope. This file owns the format.
type record struct {
	Version int `json:"v"`
	// Claim is a random number that the cluster's first term made.
	Claim string `json:"claim"`
	// Mark is a random number that whoever marked the folder made. It is empty in a
	// backend whose cluster has not marked a folder yet.
	Mark string `json:"mark,omitempty"`
	// Folder and Node say to people where the mark was made, and by whom.
	Folder string `json:"folder,omitempty"`
	Node   string `json:"node,omitempty"`
}

func encodeRecord(r record) ([]byte, error) {
	r.Version = markFormat
	return envelope.Seal(r)
}

func decodeRecord(data []byte) (record, error) {
	var r record
	if err := envelope.Open("mark of the blobs", markFormat, data, &r); err != nil {
		return record{}, err
	}
	if r.Claim == "" {
		return record{}, fmt.Errorf("%w: it has no claim", ErrDamaged)
	}
	return r, nil
}

// readMark returns the folder's mark. Errors: fs.ErrNotExist when it has none,
// ErrDamaged, or the file system's with the path and the remedy.
func (d *Dir) readMark() (record, error) {
	const limit = 64 << 10
	path := filepath.Join(d.path, markFile)
	data, err := d.files.ReadFile(path, limit)
	if err != nil {
		return record{}, d.failed("read the mark "+markFile, err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return record{}, fmt.Errorf("read %s: %w: %w", path, ErrDamaged, err)
	}
	switch {
	case r.Version > markFormat+1:
		return record{}, fmt.Errorf("read %s: %w", path, envelope.NewerFormat("mark", r.Version, markFormat+1))
	case r.Version < 1 || r.Claim == "" || r.Mark == "":
		return record{}, fmt.Errorf("read %s: %w: it has no version, claim or mark", path, ErrDamaged)
	}
	return r, nil
}

// makeMark marks the folder, unless it is marked already, and returns the mark that
// it has then.
func (d *Dir) makeMark(claim, node string) (record, error) {
	there, err := d.readMark()
	if err == nil {
		// Whoever made it may have died before it was durable.
		if err := d.files.SyncFolder(d.path); err != nil {
			return record{}, d.failed("mark the folder of blobs", err)
		}
		return there, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return record{}, err
	}
	r := record{Version: markFormat, Claim: claim, Mark: rand.Text(), Folder: d.path, Node: node}
	data, err := json.Marshal(r)
	if err != nil {
		return record{}, err
	}
	// Linked, not renamed: of two who mark the folder at once one finds it marked.
	temporary := filepath.Join(d.path, "."+markFile+"."+strings.ToLower(rand.Text()))
	err = d.write(temporary, append(data, '\n'))
	if err == nil {
		err = d.files.Link(temporary, filepath.Join(d.path, markFile))
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err = errors.Join(err, d.files.Remove(temporary)); err == nil {
		err = d.files.SyncFolder(d.path)
	}
	if err != nil {
		return record{}, d.failed("mark the folder of blobs", err)
	}
	return d.readMark()
}
