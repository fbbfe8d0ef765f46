package election

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/leader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeDriver grants what the test hands it, and holds the Elector to its side of
// the Driver contract.
type fakeDriver struct {
	t      *testing.T
	grants chan grantOrError

	mu        sync.Mutex
	campaigns int
	open      bool // a campaign or an unreleased tenure
}

type grantOrError struct {
	tenure *fakeTenure
	err    error
}

func newFakeDriver(t *testing.T) *fakeDriver {
	t.Helper()
	return &fakeDriver{t: t, grants: make(chan grantOrError)}
}

func (d *fakeDriver) Campaign(ctx context.Context, _ Candidate) (Tenure, error) {
	d.mu.Lock()
	if d.open {
		d.t.Error("a campaign began before the former one ended and its tenure was released")
	}
	d.open, d.campaigns = true, d.campaigns+1
	d.mu.Unlock()
	select {
	case g := <-d.grants:
		if g.err != nil {
			d.closed()
			return nil, g.err
		}
		return g.tenure, nil
	case <-ctx.Done():
		d.closed()
		return nil, ctx.Err()
	}
}

// Participants and Transfer are not this fake's business.
func (*fakeDriver) Participants(context.Context) ([]Participant, error) { return nil, nil }
func (*fakeDriver) Transfer(context.Context, string) error              { return nil }

func (d *fakeDriver) closed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = false
}

func (d *fakeDriver) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.campaigns
}

// grant lets the campaign that is under way, or the next one, succeed.
func (d *fakeDriver) grant(epoch leader.Epoch) *fakeTenure {
	f := d.tenure(epoch)
	d.grants <- grantOrError{tenure: f}
	return f
}

func (d *fakeDriver) tenure(epoch leader.Epoch) *fakeTenure {
	return &fakeTenure{d: d, guard: leader.NewGuard(epoch, d), lost: make(chan struct{})}
}

type fakeTenure struct {
	d         *fakeDriver
	guard     leader.Guard
	lost      chan struct{}
	onPublish func(ctx context.Context) error
	onRelease func(ctx context.Context) error

	mu         sync.Mutex
	err        error
	infos      []leader.Info
	publishing bool
	released   bool
}

var _ Tenure = (*fakeTenure)(nil)

func (f *fakeTenure) Guard() leader.Guard   { return f.guard }
func (f *fakeTenure) Lost() <-chan struct{} { return f.lost }

func (f *fakeTenure) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *fakeTenure) lose(err error) {
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	close(f.lost)
}

func (f *fakeTenure) Publish(ctx context.Context, infos ...leader.Info) error {
	f.mu.Lock()
	if f.publishing || f.released {
		f.d.t.Errorf("Publish overlaps another or a release: publishing %v, released %v", f.publishing, f.released)
	}
	f.publishing = true
	f.mu.Unlock()
	var err error
	if f.onPublish != nil {
		err = f.onPublish(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.publishing = false
	if err == nil {
		f.infos = append(f.infos, infos...)
	}
	return err
}

func (f *fakeTenure) Release(ctx context.Context) error {
	f.mu.Lock()
	if f.released || f.publishing {
		f.d.t.Errorf("Release overlaps: released before %v, publishing %v", f.released, f.publishing)
	}
	f.released = true
	f.mu.Unlock()
	defer f.d.closed()
	if f.onRelease != nil {
		return f.onRelease(ctx)
	}
	return nil
}

func (f *fakeTenure) isReleased() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.released
}

func (f *fakeTenure) published() []leader.Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.infos)
}

// lab is an Elector that runs over a fakeDriver in virtual time.
type lab struct {
	*fakeDriver
	elector *Elector
	cancel  context.CancelFunc
	ended   chan error
}

const (
	grace   = time.Second
	longest = 5 * time.Second
)

// run starts an Elector in the bubble. Unless the test has waited for Run's end,
// the bubble deadlocks; so every test ends with stop or wait.
func run(t *testing.T, c Contender, change ...func(*Config)) *lab {
	t.Helper()
	d := newFakeDriver(t)
	cfg := Config{ID: "a", Driver: d, StopGrace: grace}
	for _, f := range change {
		f(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := &lab{fakeDriver: d, elector: e, cancel: cancel, ended: make(chan error, 1)}
	go func() { l.ended <- e.Run(ctx, c) }()
	synctest.Wait()
	return l
}

// stop ends Run's context and returns what Run returned.
func (l *lab) stop() error {
	l.cancel()
	return <-l.ended
}

// untilEnd is a contender that leads until its term ends, and tells what it saw.
type untilEnd struct {
	mu     sync.Mutex
	terms  []*Term
	causes []error
}

func (u *untilEnd) Lead(ctx context.Context, t *Term) error {
	u.mu.Lock()
	u.terms = append(u.terms, t)
	u.mu.Unlock()
	<-ctx.Done()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.causes = append(u.causes, context.Cause(ctx))
	return ctx.Err()
}

func (u *untilEnd) newest() *Term {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.terms) == 0 {
		return nil
	}
	return u.terms[len(u.terms)-1]
}

func (u *untilEnd) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.terms)
}

func (u *untilEnd) lastCause() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.causes) == 0 {
		return nil
	}
	return u.causes[len(u.causes)-1]
}
