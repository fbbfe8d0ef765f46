package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coordd/coordd/agent/minicluster"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// glance is how often the demo looks.
const glance = 25 * time.Millisecond

// story is the course of the demo. One goroutine plays it.
type story struct {
	cluster *minicluster.Cluster
	client  *client.Client
	print   *printer
	id      job.ID

	needs  map[string]bool // the tasks that need others
	staged bool            // there are some
	first  client.Leader
	now    client.Leader
	killed time.Time
	tasks  map[string]*tracked
}

func newStory(cluster *minicluster.Cluster, c *client.Client, p *printer) *story {
	return &story{
		cluster: cluster, client: c, print: p, id: job.NewID(),
		needs: make(map[string]bool), tasks: make(map[string]*tracked),
	}
}

// play submits the job, kills the leader in the second stage, and follows the job
// to its end.
func (s *story) play(ctx context.Context, name string, data []byte) (job.Snapshot, error) {
	graph, err := job.Parse("", data)
	if err != nil {
		return job.Snapshot{}, err
	}
	for _, t := range graph.Tasks {
		s.needs[t.ID] = len(t.Needs) > 0
		s.staged = s.staged || len(t.Needs) > 0
		s.tasks[t.ID] = newTracked()
	}
	if err := s.begin(ctx); err != nil {
		return job.Snapshot{}, err
	}
	if err := s.submit(ctx, name, data); err != nil {
		return job.Snapshot{}, err
	}
	snap, err := s.follow(ctx, s.secondStage)
	if err != nil {
		return snap, err
	}
	if snap.Status.Terminal() {
		s.print.event("note", dim, "the job ended before the leader could be killed; a longer one shows more")
		return snap, s.end(snap)
	}
	for _, t := range snap.Tasks {
		s.tasks[t.ID].atTheCrash(t)
	}
	if err := s.crash(ctx); err != nil {
		return snap, err
	}
	snap, err = s.follow(ctx, func(job.Snapshot) bool { return false })
	if err != nil {
		return snap, err
	}
	return snap, s.end(snap)
}

// begin introduces the members.
func (s *story) begin(ctx context.Context) error {
	s.print.title("coordd demo: three coordinators and two workers in this process, one job, one crash")
	for _, m := range s.cluster.Agents() {
		s.print.event("start", plain, "%-8s  coordinates, %s", m.ID(), m.URL())
	}
	for _, m := range s.cluster.Workers() {
		s.print.event("start", plain, "%-8s  runs tasks, %s", m.ID(), plural(demoSlots, "slot"))
	}
	l, err := s.leader(ctx, 0)
	if err != nil {
		return err
	}
	s.first, s.now = l, l
	s.print.event("leader", green, "%s leads in epoch %d", l.ID, l.Epoch)
	return nil
}

// leader waits for a ready leader with an epoch larger than the given one.
func (s *story) leader(ctx context.Context, after leader.Epoch) (client.Leader, error) {
	for {
		l, err := s.client.Leader(ctx, leader.Dispatcher)
		if err != nil {
			return client.Leader{}, err
		}
		if l.Leader.Epoch > after && l.Leader.Phase == leader.PhaseReady {
			return l.Leader, nil
		}
		if err := pause(ctx); err != nil {
			return client.Leader{}, err
		}
	}
}

// submit sends the job to a standby, which passes it on.
func (s *story) submit(ctx context.Context, name string, data []byte) error {
	standby := s.cluster.Agents()[0]
	if standby.ID() == s.first.ID {
		standby = s.cluster.Agents()[1]
	}
	c, err := client.New(client.Config{Addresses: []string{standby.URL()}})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, _, err := c.Submit(ctx, s.id, data); err != nil {
		return err
	}
	s.print.event("job", cyan, "%q sent to standby %s, stored durably as %s", name, standby.ID(), s.id)
	return nil
}

// secondStage reports whether it was told that a task runs which needs others, or any
// task in a job where none does.
func (s *story) secondStage(j job.Snapshot) bool {
	for _, t := range j.Tasks {
		if s.needs[t.ID] == s.staged && s.tasks[t.ID].runs() {
			return true
		}
	}
	return false
}

// follow says what becomes of the job until it is enough or the job has ended.
func (s *story) follow(ctx context.Context, enough func(job.Snapshot) bool) (job.Snapshot, error) {
	for {
		snap, err := s.client.Job(ctx, s.id)
		if err != nil {
			return snap, err
		}
		for _, t := range snap.Tasks {
			if news := s.tasks[t.ID].look(t, snap.Epoch, time.Now()); news != nil {
				s.print.event(news.kind, news.color, "%-8s %s", t.ID, news.text)
			}
		}
		if snap.Status.Terminal() || enough(snap) {
			return snap, nil
		}
		if err := pause(ctx); err != nil {
			return snap, err
		}
	}
}

// crash kills the leader and waits for the next one.
func (s *story) crash(ctx context.Context) error {
	s.killed = time.Now()
	s.cluster.Member(s.first.ID).Kill()
	s.print.event("crash", red, "%s is killed; its session takes up to %s to expire", s.first.ID, demoSession)
	l, err := s.leader(ctx, s.first.Epoch)
	if err != nil {
		return err
	}
	s.now = l
	elected := l.Since.Sub(s.killed)
	s.print.event("leader", green, "%s leads in epoch %d: elected after %s, ready %s later",
		l.ID, l.Epoch, short(elected), short(time.Since(s.killed)-elected))
	return nil
}

// end says how the job ended, and what it wrote.
func (s *story) end(snap job.Snapshot) error {
	color := green
	if snap.Status != job.StatusFinished {
		color = red
	}
	s.print.event("job", color, "%s; its one result is recorded, in epoch %d", snap.Status, snap.Epoch)
	for _, t := range snap.Tasks {
		for _, sub := range t.Subtasks {
			switch {
			case sub.Output != "":
				s.print.block("output of "+subtaskName(t, sub), sub.Output)
			case sub.Error != "":
				s.print.block("error of "+subtaskName(t, sub), sub.Error)
			}
		}
	}
	if snap.Error != "" {
		s.print.block("why the job failed", snap.Error)
	}
	if s.killed.IsZero() {
		return nil
	}
	rows := [][]string{{"TASK", "RAN ON", "STARTED IN", "RECORDED IN", "ATTEMPTS"}}
	for _, t := range snap.Tasks {
		rows = append(rows, s.tasks[t.ID].row(t))
	}
	if err := s.print.table("what ran where", rows); err != nil {
		return err
	}
	s.print.title(s.moral(snap)...)
	if s.now.Epoch <= s.first.Epoch {
		return errors.New("the epoch did not grow; this is a fault of coordd")
	}
	return nil
}

// moral says in a few lines what the crash meant.
func (s *story) moral(snap job.Snapshot) []string {
	lines := []string{fmt.Sprintf("%s died in epoch %d; %s took over in epoch %d.", s.first.ID, s.first.Epoch, s.now.ID, s.now.Epoch)}
	var finished, adopted, again []string
	for _, t := range snap.Tasks {
		switch s.tasks[t.ID].fate(t) {
		case fateFinished:
			finished = append(finished, t.ID)
		case fateAdopted:
			adopted = append(adopted, t.ID)
		case fateAgain:
			again = append(again, t.ID)
		case fateLater:
		}
	}
	for _, part := range []struct {
		what  string
		tasks []string
	}{
		{"Had finished, did not run again: ", finished},
		{"Was running, was adopted and kept running: ", adopted},
		{"Was running, ran again: ", again},
	} {
		if len(part.tasks) > 0 {
			lines = append(lines, part.what+strings.Join(part.tasks, ", ")+".")
		}
	}
	return lines
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(glance):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// short shows a duration with two digits.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
