package jobmaster

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

const (
	// needsPause is how long a need may be less than declared, when the job has slots
	// enough; needsRest, when it could use more than it has: the difference matters
	// little then. Greater needs are declared at once.
	needsPause = 100 * time.Millisecond
	needsRest  = 2 * time.Second
	// windingTimeouts is how many heartbeat time-outs a job that comes to its end
	// waits to learn of the workers that may have something of it.
	windingTimeouts = 2
)

// manager is the resource manager, and what of other workers is learnt there.
type manager struct {
	// followed says that a connection is kept, at is its other side, nil while there is
	// none.
	followed bool
	at       gateway.ResourceManager
	// serial tells the answers on this connection from those on others.
	serial int

	declaring    bool
	declareRetry backoff
	// declaredAt is when needs were declared last, surplus that the job was offered
	// more slots since than it can use.
	declaredAt time.Time
	surplus    bool

	// reconciled says that no worker can have anything of the job that is not known
	// here. awaited are the workers that have not registered yet, by their IDs, since
	// they are known; nobody waits longer than until giveUp.
	reconciled    bool
	asking, known bool
	askRetry      backoff
	awaited       map[string]gateway.Worker
	giveUp        time.Time
	windingSince  time.Time
}

// planManager connects, asks for workers and declares needs, as is due.
func (c *core) planManager(now time.Time) {
	m := &c.manager
	if c.unread {
		return // nothing could be made of slots and workers
	}
	if !m.followed {
		m.followed, c.out.connect = true, true
	}
	if m.at == nil {
		return
	}
	if !m.reconciled && !m.known && !m.asking && m.askRetry.over(now) {
		m.asking = true
		c.out.holders = &holdersQuery{manager: m.serial, at: m.at}
	}
	if !m.declaring && m.declareRetry.over(now) && c.needsDue(now) {
		m.declaring = true
		c.out.declare = &declaration{manager: m.serial, at: m.at, needs: c.needs()}
	}
}

// needsDue says whether the needs are to be declared.
func (c *core) needsDue(now time.Time) bool {
	more, less := c.needsChanged()
	return more || less && (c.winding() || !now.Before(c.lessDue()))
}

// lessDue is when needs that are less than declared are to be declared.
func (c *core) lessDue() time.Time {
	need := 0
	for _, g := range c.groups {
		need += g.need()
	}
	if c.manager.surplus || need <= c.pool.slots() {
		return c.manager.declaredAt.Add(needsPause)
	}
	return c.manager.declaredAt.Add(needsRest)
}

func (c *core) needsChanged() (more, less bool) {
	for _, g := range c.groups {
		need := g.need()
		more = more || need > g.declared
		less = less || need < g.declared
	}
	return more, less
}

// needs returns what is needed, and takes it for declared.
func (c *core) needs() []gateway.Need {
	c.manager.surplus = false
	needs := []gateway.Need{}
	for _, g := range c.groups {
		if g.declared = g.need(); g.declared > 0 {
			needs = append(needs, gateway.Need{Requires: g.requires, Count: g.declared})
		}
	}
	return needs
}

func (c *core) needsDeclared(e needsDeclared, now time.Time) {
	m := &c.manager
	if e.manager != m.serial {
		return
	}
	m.declaring = false
	switch {
	case e.err == nil:
		m.declareRetry = backoff{}
		m.declaredAt = now
	case errors.Is(e.err, gateway.ErrNotRegistered), errors.Is(e.err, gateway.ErrFencingToken):
		c.dropManager(e.err.Error())
		c.out.reconnect = e.err
	default:
		for _, g := range c.groups {
			g.declared = -1 // unknown
		}
		m.declareRetry.failed(now)
		c.retrying("needs could not be declared", e.err, m.declareRetry)
	}
}

// managerConnected begins with the resource manager.
func (c *core) managerConnected(e managerConnected) {
	m := &c.manager
	m.at = e.at
	m.serial++
	m.declareRetry, m.declaredAt, m.askRetry = backoff{}, time.Time{}, backoff{}
	for _, g := range c.groups {
		g.declared = 0
	}
	c.log.Debug("registered at the resource manager")
}

// dropManager ends what was begun with the resource manager.
func (c *core) dropManager(reason string) {
	m := &c.manager
	if m.at == nil {
		return
	}
	c.log.Info("the resource manager is lost", "reason", reason)
	m.at = nil
	m.serial++
	m.declaring, m.asking = false, false
}

// holdersKnown hears which workers may have something of the job.
func (c *core) holdersKnown(e holdersKnown, now time.Time) {
	m := &c.manager
	if e.manager != m.serial {
		return
	}
	m.asking = false
	if e.err != nil {
		m.askRetry.failed(now)
		c.retrying("the job's workers are not known", e.err, m.askRetry)
		return
	}
	m.known, m.giveUp = true, now.Add(c.timeout)
	m.awaited = map[string]gateway.Worker{}
	for _, w := range e.workers {
		if c.pool.byID[w.ID] == nil {
			m.awaited[w.ID] = w
		}
	}
}

// reconcile lets the job go on once nothing of it can be under way that is not known.
func (c *core) reconcile(now time.Time) {
	m := &c.manager
	if m.reconciled || c.unread {
		return
	}
	late := m.known && !now.Before(m.giveUp)
	switch {
	case c.unfinished == 0:
	case m.known && len(m.awaited) == 0:
	case late:
		c.log.Warn("workers of the job have not registered in time", "workers", slices.Sorted(maps.Keys(m.awaited)))
	case c.winding() && now.Sub(m.windingSince) >= windingTimeouts*c.timeout:
		c.log.Warn("it is not known which workers have something of the job")
	default:
		return
	}
	m.reconciled, m.awaited = true, nil
	if c.status == job.StatusReconciling && c.unfinished > 0 {
		c.run(now)
	}
}

func (c *core) wakeManager(until func(time.Time)) {
	m := &c.manager
	if m.at != nil {
		if !m.reconciled && !m.known && !m.asking {
			until(m.askRetry.until)
		}
		if more, less := c.needsChanged(); !m.declaring && (more || less) {
			at := m.declareRetry.until
			if due := c.lessDue(); !more && !c.winding() && due.After(at) {
				at = due
			}
			until(at)
		}
	}
	if m.reconciled || c.unread {
		return
	}
	if m.known {
		until(m.giveUp)
	}
	if c.winding() {
		until(m.windingSince.Add(windingTimeouts * c.timeout))
	}
}
