package taskexecutor

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/rpc"
)

func TestMain(m *testing.M) {
	if os.Getenv(hostVariable) != "" {
		hostMain()
		return
	}
	goleak.VerifyTestMain(m)
}

// patience bounds what must happen soon; only a failing test waits for it.
const patience = 20 * time.Second

// leaders are Leaders whom a test makes lead.
type leaders struct {
	mu      sync.Mutex
	state   retrieval.State
	changed chan struct{}
}

func newLeaders() *leaders { return &leaders{changed: make(chan struct{})} }

// Latest implements Leaders.
func (l *leaders) Latest() (retrieval.State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.changed
}

func (l *leaders) set(status retrieval.Status, info leader.Info) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = retrieval.State{Status: status, Info: info}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *leaders) lead(info leader.Info) { l.set(retrieval.StatusKnown, info) }
func (l *leaders) nobody()               { l.set(retrieval.StatusNone, leader.Info{}) }

// term returns the leader of an epoch; all live at one address.
func term(epoch leader.Epoch) leader.Info {
	return leader.Info{SessionID: leader.SessionID("session-" + epoch.String()), Epoch: epoch, RPCAddress: "here:1"}
}

// master is a job's master, or the side of it that a worker sees. Its methods call
// what the test has set, without which they agree to everything.
type master struct {
	gateway.JobMaster // panics for what no worker calls

	mu       sync.Mutex
	register func(context.Context, gateway.JobReport) (gateway.JobReply, error)
	offer    func(context.Context, []gateway.Slot) ([]gateway.Slot, error)
	settle   func(context.Context, []gateway.AttemptEnd) error

	registrations chan gateway.JobReport
	offered       chan []gateway.Slot
	ends          chan gateway.AttemptEnd
	farewells     chan string
}

func newMaster() *master {
	return &master{
		registrations: make(chan gateway.JobReport, 1000), offered: make(chan []gateway.Slot, 1000),
		ends: make(chan gateway.AttemptEnd, 50_000), farewells: make(chan string, 10),
	}
}

// with changes what the master does.
func (m *master) with(change func(*master)) *master {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
	return m
}

func (m *master) RegisterWorker(ctx context.Context, _ gateway.Worker, has gateway.JobReport) (gateway.JobReply, error) {
	m.mu.Lock()
	register := m.register
	m.mu.Unlock()
	m.registrations <- has
	if register != nil {
		return register(ctx, has)
	}
	return gateway.JobReply{}, nil
}

func (m *master) OfferSlots(ctx context.Context, _ gateway.Worker, slots []gateway.Slot) ([]gateway.Slot, error) {
	m.mu.Lock()
	offer := m.offer
	m.mu.Unlock()
	m.offered <- slots
	if offer != nil {
		return offer(ctx, slots)
	}
	return slots, nil
}

func (m *master) AttemptsEnded(ctx context.Context, _ gateway.Worker, ends []gateway.AttemptEnd) error {
	m.mu.Lock()
	settle := m.settle
	m.mu.Unlock()
	if settle != nil {
		if err := settle(ctx, ends); err != nil {
			return err
		}
	}
	for _, end := range ends {
		m.ends <- end
	}
	return nil
}

func (m *master) DisconnectWorker(_ context.Context, _ gateway.Worker, reason string) error {
	m.farewells <- reason
	return nil
}

// wait returns the next end that was settled.
func (m *master) wait(t *testing.T) gateway.AttemptEnd {
	t.Helper()
	return next(t, m.ends, "end of an attempt")
}

// manager is a resource manager as a worker sees it.
type fakeManager struct {
	gateway.ResourceManager

	mu       sync.Mutex
	register func(context.Context, gateway.WorkerRegistration) (gateway.WorkerReply, error)
	freed    func(context.Context, []gateway.Slot) error

	registrations chan gateway.WorkerRegistration
	vacated       chan []gateway.Slot
	farewells     chan string
}

func newManager() *fakeManager {
	return &fakeManager{
		registrations: make(chan gateway.WorkerRegistration, 1000),
		vacated:       make(chan []gateway.Slot, 1000), farewells: make(chan string, 10),
	}
}

func (m *fakeManager) with(change func(*fakeManager)) *fakeManager {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
	return m
}

func (m *fakeManager) RegisterWorker(ctx context.Context, w gateway.WorkerRegistration) (gateway.WorkerReply, error) {
	m.mu.Lock()
	register := m.register
	m.mu.Unlock()
	m.registrations <- w
	if register != nil {
		return register(ctx, w)
	}
	return gateway.WorkerReply{}, nil
}

func (m *fakeManager) SlotsFreed(ctx context.Context, _ gateway.Worker, slots []gateway.Slot) error {
	m.mu.Lock()
	freed := m.freed
	m.mu.Unlock()
	if freed != nil {
		if err := freed(ctx, slots); err != nil {
			return err
		}
	}
	m.vacated <- slots
	return nil
}

func (m *fakeManager) DisconnectWorker(_ context.Context, _ gateway.Worker, reason string, stopped bool) error {
	if !stopped {
		reason += " (not for good)"
	}
	m.farewells <- reason
	return nil
}

// network is a Network of one process: who is where in which term.
type network struct {
	mu       sync.Mutex
	managers map[leader.SessionID]*fakeManager
	masters  map[leader.SessionID]map[job.ID]*master
	// open counts the connections that were not released.
	open int
}

var (
	_ Network = (*network)(nil)
	_ Leaders = (*leaders)(nil)
)

var errNobody = errors.New("nobody is there")

func newNetwork() *network {
	return &network{managers: map[leader.SessionID]*fakeManager{}, masters: map[leader.SessionID]map[job.ID]*master{}}
}

// ResourceManager implements Network.
func (n *network) ResourceManager(_ context.Context, info leader.Info) (gateway.ResourceManager, func(), error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.managers[info.SessionID]
	if m == nil {
		return nil, nil, errNobody
	}
	n.open++
	return m, n.release, nil
}

// JobMaster implements Network.
func (n *network) JobMaster(_ context.Context, info leader.Info, id job.ID) (gateway.JobMaster, func(), error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.masters[info.SessionID][id]
	if m == nil {
		return nil, nil, errNobody
	}
	n.open++
	return m, n.release, nil
}

func (n *network) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open--
}

func (n *network) connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

// lab is an executor in a world that the test makes up.
type lab struct {
	*Executor
	dispatcher, resourceManager *leaders
	network                     *network
	cancel                      context.CancelFunc
	// ended is closed when Run has returned err.
	ended chan struct{}
	err   error
}

// begin runs an executor until the test ends. Nobody leads.
func begin(t *testing.T, cfg Config) *lab {
	t.Helper()
	l := &lab{dispatcher: newLeaders(), resourceManager: newLeaders(), network: newNetwork(), ended: make(chan struct{})}
	if cfg.ID == "" {
		cfg.ID = "w1"
	}
	if cfg.Slots == 0 {
		cfg.Slots = 1
	}
	cfg.Network, cfg.Dispatcher, cfg.ResourceManager = l.network, l.dispatcher, l.resourceManager
	cfg.checked = true
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.Executor = e
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go func() {
		defer close(l.ended)
		l.err = e.Run(ctx)
	}()
	e.awaitStart()
	t.Cleanup(func() {
		_ = l.stop()
		if open := l.network.connections(); open != 0 {
			t.Errorf("%d connections were not released", open)
		}
	})
	return l
}

// awaitStart returns when calls are served.
func (e *Executor) awaitStart() {
	for errors.Is(e.endpoint.Tell(func() {}), rpc.ErrNotStarted) {
		runtime.Gosched()
	}
}

// stop ends Run and returns what it returned.
func (l *lab) stop() error {
	l.cancel()
	<-l.ended
	return l.err
}

// elect makes a term with a resource manager and the masters of some jobs, and has it
// lead.
func (l *lab) elect(epoch leader.Epoch, jobs ...job.ID) (*fakeManager, map[job.ID]*master) {
	info, rm, masters := term(epoch), newManager(), map[job.ID]*master{}
	for _, id := range jobs {
		masters[id] = newMaster()
	}
	l.install(info, rm, masters)
	l.resourceManager.lead(info)
	l.dispatcher.lead(info)
	return rm, masters
}

func (l *lab) install(info leader.Info, rm *fakeManager, masters map[job.ID]*master) {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	l.network.managers[info.SessionID], l.network.masters[info.SessionID] = rm, masters
}

// slots has the resource manager of a term give slots to a job.
func (l *lab) slots(t *testing.T, epoch leader.Epoch, id job.ID, n int) []gateway.Slot {
	t.Helper()
	slots, err := l.RequestSlots(t.Context(), gateway.SlotRequest{Term: termOf(term(epoch)), Job: id, Count: n})
	if err != nil {
		t.Fatal(err)
	}
	if len(slots) != n {
		t.Fatalf("got %d slots, want %d", len(slots), n)
	}
	return slots
}

// launch deploys attempts that must not be refused.
func (l *lab) launch(t *testing.T, ds ...gateway.Deployment) {
	t.Helper()
	refused, err := l.Deploy(t.Context(), termOf(term(ds[0].Attempt.Epoch)), ds)
	if err != nil || len(refused) > 0 {
		t.Fatalf("deployment: refused %v, error %v", refused, err)
	}
}

// beat sends the heartbeats of a term's resource manager and masters.
func (l *lab) beat(ctx context.Context, epoch leader.Epoch, jobs ...job.ID) error {
	var errs []error
	for _, id := range append(jobs, "") {
		_, err := l.Heartbeat(ctx, gateway.Peer{Term: termOf(term(epoch)), Job: id})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// pass lets virtual time pass, with heartbeats every 2 s.
func (l *lab) pass(t *testing.T, d time.Duration, epoch leader.Epoch, jobs ...job.ID) {
	t.Helper()
	synctest.Wait()
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := l.beat(t.Context(), epoch, jobs...); err != nil {
			t.Fatal(err)
		}
		<-time.After(min(2*time.Second, time.Until(end)))
	}
}

// next returns what comes next from a channel.
func next[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s came", what)
		panic("unreachable")
	}
}

// quiet fails the test when something has come from a channel.
func quiet[T any](t *testing.T, from <-chan T, what string) {
	t.Helper()
	select {
	case v := <-from:
		t.Errorf("unexpected %s: %v", what, v)
	default:
	}
}

// theAttempt names the first attempt of a job's subtask, in epoch 7.
func theAttempt(id job.ID, subtask int) gateway.AttemptID {
	return gateway.AttemptID{Job: id, Task: "t", Subtask: subtask, Epoch: 7, N: 1}
}

// shell is the deployment of a script.
func shell(script string) gateway.Deployment {
	return gateway.Deployment{Attempt: theAttempt("j", 0), Command: []string{"sh", "-c", script}}
}

// call is the deployment of a function.
func function(name string, id gateway.AttemptID, slot gateway.Slot) gateway.Deployment {
	return gateway.Deployment{Attempt: id, Func: name, Slot: slot}
}
