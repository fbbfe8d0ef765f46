package embedded

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// disk is where a Backend keeps its data, and who uses that. A token of one stands
// for the right to do so: reading and writing take long, so that nobody does it
// under the Backend's lock.
type disk struct {
	token chan struct{}
	// file is nil while nobody runs, and always in memory. users counts who runs.
	// Both are of whom the token is with.
	file  *file
	users int
}

func newDisk() disk { return disk{token: make(chan struct{}, 1)} }

func (d *disk) take(ctx context.Context) error {
	select {
	case d.token <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *disk) give() { <-d.token }

// enter returns the file, nil in memory, which it opens for the first participant
// that runs. Errors name the file and the remedy, or are ctx's.
func (b *Backend) enter(ctx context.Context) (*file, error) {
	if b.cfg.File == "" {
		return nil, nil
	}
	if err := b.disk.take(ctx); err != nil {
		return nil, err
	}
	defer b.disk.give()
	if b.disk.file == nil {
		f, t, err := openFile(ctx, b.cfg.File)
		if err != nil {
			return nil, err
		}
		b.disk.file = f
		b.mu.Lock()
		b.tree, b.index = t, max(b.index, f.state.index)
		b.publishedAt = b.index
		b.mu.Unlock()
		b.cfg.Logger.Info("data file opened", "file", b.cfg.File, "values", f.state.count)
	}
	b.disk.users++
	return b.disk.file, nil
}

// leave closes the file after the last participant.
func (b *Backend) leave(ctx context.Context) error {
	if b.cfg.File == "" {
		return nil
	}
	if err := b.disk.take(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	defer b.disk.give()
	b.disk.users--
	if b.disk.users > 0 {
		return nil
	}
	f := b.disk.file
	b.disk.file = nil
	return f.close()
}

// write applies the operations as soon as the participant is connected, while the
// candidacy leads. Errors: those of reach, leader.ErrFenced, of the tree, of the
// file. Once it has begun it ends, whether or not ctx does.
func (s store) write(ctx context.Context, c *candidacy, ops []txn.Op) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		changed, done, err := s.tryWrite(ctx, c, ops)
		if done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// tryWrite is one attempt of write. It returns what to wait for when it was in vain.
func (s store) tryWrite(ctx context.Context, c *candidacy, ops []txn.Op) (changed <-chan struct{}, done bool, err error) {
	b := s.p.backend
	if err := b.disk.take(ctx); err != nil {
		return nil, true, err
	}
	defer b.disk.give()
	var (
		index int64
		t     *tree
	)
	changed, done, err = s.p.try(func() error {
		if !b.leads(c) {
			return fmt.Errorf("%w (epoch %s)", leader.ErrFenced, c.epoch)
		}
		if err := b.tree.check(ops); err != nil {
			return err
		}
		b.writing = true
		index, t = b.next(), b.tree
		return nil
	})
	if !done || err != nil {
		return changed, done, err
	}
	if f := b.disk.file; f != nil {
		// Nobody else changes the tree: that takes the token.
		err = f.write(ops, t, index)
	}
	return nil, true, b.wrote(s.p, c, ops, err)
}

// wrote ends a write: it takes effect unless it failed, also when its term ended
// meanwhile, for until now nobody else was granted leadership.
func (b *Backend) wrote(p *Participant, c *candidacy, ops []txn.Op, failure error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = false
	if !b.leads(c) {
		b.broadcast()
	}
	if failure != nil {
		return failure
	}
	b.tree.apply(ops)
	b.keepCommit(c, ops)
	if p.killed {
		return ErrKilled
	}
	return nil
}

// broken returns what is closed when the file has failed: nothing ever, for no file.
func (f *file) broken() <-chan struct{} {
	if f == nil {
		return nil
	}
	return f.failed
}
