package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

	graph  map[string]bool // the tasks that need others
	first  client.Leader
	now    client.Leader
	killed time.Time
	// kept and cut are the tasks that the crash found finished and running.
	kept, cut []string
	stages    map[string]string // what was said of each task last
}

// play submits the job, kills the leader in the second stage, and follows the job
// to its end.
func (s *story) play(ctx context.Context, name string, data []byte) (job.Snapshot, error) {
	s.stages = make(map[string]string)
	graph, err := job.Parse("", data)
	if err != nil {
		return job.Snapshot{}, err
	}
	s.graph = make(map[string]bool, len(graph.Tasks))
	staged := false
	for _, t := range graph.Tasks {
		s.graph[t.ID] = len(t.Needs) > 0
		staged = staged || len(t.Needs) > 0
	}
	if err := s.begin(ctx); err != nil {
		return job.Snapshot{}, err
	}
	if err := s.submit(ctx, name, data); err != nil {
		return job.Snapshot{}, err
	}
	snap, err := s.follow(ctx, func(j job.Snapshot) bool { return s.secondStage(j, staged) })
	if err != nil {
		return snap, err
	}
	if snap.Status.Terminal() {
		s.print.event("note", dim, "the job ended before the leader could be killed; a longer one shows more")
		return snap, s.end(snap)
	}
	for _, t := range snap.Tasks {
		switch {
		case count(t, job.SubtaskFinished) == len(t.Subtasks):
			s.kept = append(s.kept, t.ID)
		case count(t, job.SubtaskRunning) > 0:
			s.cut = append(s.cut, t.ID)
		}
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

// begin introduces the coordinators.
func (s *story) begin(ctx context.Context) error {
	s.print.title("coordd demo: three coordinators in this process, one job, one crash")
	for i, url := range s.cluster.URLs() {
		s.print.event("start", plain, "%s at %s", s.cluster.ID(i), url)
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
	standby := (s.cluster.Index(s.first.ID) + 1) % demoNodes
	c, err := client.New(client.Config{Addresses: s.cluster.URLs()[standby : standby+1]})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, _, err := c.Submit(ctx, s.id, data); err != nil {
		return err
	}
	s.print.event("job", cyan, "%q sent to standby %s, stored durably as %s", name, s.cluster.ID(standby), s.id)
	return nil
}

// secondStage reports whether a task that needs others runs, or any task in a job
// where none does.
func (s *story) secondStage(j job.Snapshot, staged bool) bool {
	for _, t := range j.Tasks {
		if s.graph[t.ID] == staged && count(t, job.SubtaskRunning) > 0 {
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
		s.report(snap)
		if snap.Status.Terminal() || enough(snap) {
			return snap, nil
		}
		if err := pause(ctx); err != nil {
			return snap, err
		}
	}
}

// report says what is new.
func (s *story) report(snap job.Snapshot) {
	for _, t := range snap.Tasks {
		running, finished, all := count(t, job.SubtaskRunning), count(t, job.SubtaskFinished), len(t.Subtasks)
		epoch := int64(0)
		for _, sub := range t.Subtasks {
			epoch = max(epoch, sub.Epoch)
		}
		again := ""
		if slices.Contains(s.cut, t.ID) {
			again = "again "
		}
		var text string
		switch {
		case finished == all:
			text = fmt.Sprintf("%-8s finished in epoch %d", t.ID, epoch)
		case count(t, job.SubtaskFailed) > 0:
			text = fmt.Sprintf("%-8s failed", t.ID)
		case running > 0:
			text = fmt.Sprintf("%-8s runs %sin epoch %d, %s", t.ID, again, epoch, plural(all, "subtask"))
		default:
			continue
		}
		if s.stages[t.ID] != text {
			s.stages[t.ID] = text
			s.print.event("task", plain, "%s", text)
		}
	}
}

// crash kills the leader and waits for the next one.
func (s *story) crash(ctx context.Context) error {
	s.killed = time.Now()
	s.cluster.Kill(s.cluster.Index(s.first.ID))
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
	s.print.title(s.moral()...)
	if s.now.Epoch <= s.first.Epoch {
		return errors.New("the epoch did not grow; this is a fault of coordd")
	}
	return nil
}

// moral says in a few lines what the crash meant.
func (s *story) moral() []string {
	lines := []string{fmt.Sprintf("%s died in epoch %d; %s took over in epoch %d.", s.first.ID, s.first.Epoch, s.now.ID, s.now.Epoch)}
	if len(s.kept) > 0 {
		lines = append(lines, "Had finished, did not run again: "+strings.Join(s.kept, ", ")+".")
	}
	if len(s.cut) > 0 {
		lines = append(lines, "Was cut off, ran again: "+strings.Join(s.cut, ", ")+".")
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
