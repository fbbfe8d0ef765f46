package history

import (
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func put(t Thing) Write    { return Write{Thing: t, Job: "a", Content: "r"} }
func remove(t Thing) Write { return Write{Thing: t, Job: "a", Gone: true} }

func commit(epoch int64, writes ...Write) Event {
	return Event{Kind: Committed, Epoch: epoch, Writes: writes}
}

func finished(subtasks ...string) Write {
	return Write{Thing: Progress, Job: "a", Subtasks: subtasks}
}

func led(epoch int64) Event { return Event{Kind: Led, Epoch: epoch, By: "n"} }

// good is the whole life of a job under two leaders, with its end in steps.
func good() []Event {
	return []Event{
		led(1),
		{Kind: Recovered, Epoch: 1},
		{Kind: Announced, Epoch: 1, By: "reader"},
		commit(1, put(Graph), put(Progress)),
		{Kind: Acked, Job: "a", Content: "graph"},
		{Kind: Ran, Epoch: 1, Job: "a"},
		{Kind: Ran, Epoch: 1, Job: "a", Subtask: "t/0"},
		commit(1, finished("t/0")),
		led(2),
		{Kind: Recovered, Epoch: 2, Jobs: []string{"a"}},
		{Kind: Announced, Epoch: 2, By: "reader"},
		{Kind: Ran, Epoch: 2, Job: "a"},
		{Kind: Ran, Epoch: 2, Job: "a", Subtask: "t/1"},
		commit(2, Write{Thing: Output, Job: "a", Name: "t"}),
		commit(2, put(Dirty)),
		{Kind: Seen, Job: "a", Content: "r"},
		commit(2, Write{Thing: Output, Job: "a", Name: "t", Gone: true}),
		{Kind: Cleaned, Job: "a"},
		commit(2, remove(Graph), remove(Progress), remove(Quarantine), remove(Dirty), put(Clean)),
		{Kind: Seen, Job: "a", Content: "r"},
	}
}

func TestAHistoryAsItShouldBeIsFoundGood(t *testing.T) {
	again := append(good(),
		commit(2, remove(Clean)), // forgotten: the ID is free
		Event{Kind: Acked, Job: "a", Content: "graph"},
		Event{Kind: Seen, Job: "a", Content: "r"}, // its leader has not heard of it
		commit(2, put(Graph), put(Progress)),
		Event{Kind: Acked, Job: "a", Content: "graph"},
		Event{Kind: Ran, Epoch: 2, Job: "a", Subtask: "t/0"},
		commit(2, Write{Thing: Dirty, Job: "a", Content: "another"}),
		Event{Kind: Seen, Job: "a", Content: "another"},
		Event{Kind: Cleaned, Job: "a"},
		commit(2, remove(Graph), remove(Progress), remove(Dirty), Write{Thing: Clean, Job: "a", Content: "another"}),
	)
	for name, events := range map[string][]Event{"one life": good(), "two lives of an ID": again} {
		if found := Check(events); len(found) != 0 {
			t.Errorf("%s: found %v", name, found)
		}
	}
}

func TestEveryPrefixOfAGoodHistoryIsGood(t *testing.T) {
	for n := range good() {
		if found := Prefix(good()[:n]); len(found) != 0 {
			t.Errorf("the first %d events: found %v", n, found)
		}
	}
}

// insert returns the good history with events before the first one of which at says
// yes.
func insert(at func(Event) bool, events ...Event) []Event {
	all := good()
	return slices.Insert(all, slices.IndexFunc(all, at), events...)
}

func atAck(e Event) bool   { return e.Kind == Acked }
func atDirty(e Event) bool { return e.Kind == Committed && e.Writes[0].Thing == Dirty }
func atClean(e Event) bool { return e.Kind == Committed && len(e.Writes) == 5 }

// without returns the good history without the events of which drop says yes.
func without(drop func(Event) bool) []Event { return slices.DeleteFunc(good(), drop) }

func TestABadHistoryIsFlaggedByItsInvariant(t *testing.T) {
	after := func(events ...Event) []Event { return append(good(), events...) }
	for name, c := range map[string]struct {
		invariant string
		events    []Event
	}{
		"a deposed leader writes":        {"I1", after(commit(1, put(Quarantine)))},
		"a write without a guard":        {"I1", after(commit(0, Write{}))},
		"an epoch comes again":           {"I2", after(led(2))},
		"a write in an unknown epoch":    {"I2", after(commit(3, Write{}))},
		"an announcement of no leader":   {"I2", after(Event{Kind: Announced, Epoch: 7, By: "x"})},
		"a reader goes back":             {"I5", after(Event{Kind: Announced, Epoch: 1, By: "reader"})},
		"acknowledged before stored":     {"I6", without(func(e Event) bool { return e.Kind == Committed })},
		"a leader does not know it":      {"I6", insert(atDirty, led(3), Event{Kind: Recovered, Epoch: 3})},
		"the graph is lost":              {"I6", insert(atDirty, commit(2, remove(Graph)))},
		"a result that nobody keeps":     {"I6", insert(atClean, commit(2, remove(Graph), remove(Dirty)))},
		"a second result":                {"I7", insert(atClean, commit(2, Write{Thing: Dirty, Job: "a", Content: "other"}))},
		"a result after the clean one":   {"I7", after(commit(2, put(Dirty)))},
		"clean without dirty":            {"I7", without(atDirty)},
		"another result when clean":      {"I7", insert(atClean, commit(2, remove(Dirty), Write{Thing: Clean, Job: "a", Content: "other"}))},
		"another result is seen":         {"I7", after(Event{Kind: Seen, Job: "a", Content: "other"})},
		"seen before it is recorded":     {"I7", insert(atDirty, Event{Kind: Seen, Job: "a", Content: "r"})},
		"run after the result":           {"I8", after(Event{Kind: Ran, Epoch: 2, Job: "a"})},
		"run before stored":              {"I8", []Event{{Kind: Ran, Epoch: 1, Job: "a"}}},
		"a subtask runs again":           {"I8", insert(atDirty, Event{Kind: Ran, Epoch: 2, Job: "a", Subtask: "t/0"})},
		"the graph goes first":           {"I9", insert(atDirty, commit(2, remove(Graph)))},
		"clean before externals":         {"I9", append(insert(atDirty, Event{Kind: Cleaned, Job: "b"})[:16], good()[18:]...)},
		"clean leaves an output":         {"I9", without(func(e Event) bool { return e.Kind == Committed && e.Writes[0].Thing == Output && e.Writes[0].Gone })},
		"dirty at the end":               {"I9", without(atClean)},
		"a record is written too late":   {"I9", after(commit(2, put(Quarantine)))},
		"progress after it was removed":  {"I9", after(commit(2, put(Progress)))},
		"nobody acked and it is dropped": {"I9", insert(atAck, commit(1, remove(Graph)))},
	} {
		found := Check(c.events)
		if !slices.ContainsFunc(found, func(v Violation) bool { return v.Invariant == c.invariant }) {
			t.Errorf("%s: found %v, want %s", name, found, c.invariant)
		}
	}
}

func TestAResultThatSomebodyDamagedMayBeReplaced(t *testing.T) {
	events := insert(atClean,
		Event{Kind: Damaged, Writes: []Write{{Thing: Dirty, Job: "a", Content: "garbage"}}},
		commit(2, Write{Thing: Dirty, Job: "a", Content: "r"}))
	if found := Check(events); len(found) != 0 {
		t.Errorf("found %v", found)
	}
}
