package embedded

import "go.etcd.io/bbolt"

// Hold keeps transactions from the disk until release; those that wait for it have
// begun when Writing says so. The backend's file must be open.
func Hold(b *Backend) (release func() error, err error) {
	tx, err := b.openedFile().db.Begin(true)
	if err != nil {
		return nil, err
	}
	return tx.Rollback, nil
}

// Writing reports whether a transaction is on its way to the disk.
func Writing(b *Backend) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writing
}

// Overwrite changes the head of the file behind the back of the backend, as a write
// does whose header gets there and whose sync fails.
func Overwrite(b *Backend) error {
	return b.openedFile().db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(headBucket)).Put([]byte(stateKey), state{index: 1}.bytes())
	})
}

func (b *Backend) openedFile() *file {
	b.disk.token <- struct{}{}
	defer b.disk.give()
	return b.disk.file
}
