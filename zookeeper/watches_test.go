package zookeeper

import (
	"testing"

	"github.com/go-zookeeper/zk"
)

// What was asked about in vain is forgotten: names of latch nodes never come back.
func TestWatchesThatNoServerHasAreForgotten(t *testing.T) {
	w, on := newWatches(), watched{"/gone", watchNode}
	first, _ := w.ask(on)
	second, armed := w.ask(on)
	if first != second || armed {
		t.Fatalf("two callers who ask at once have the watches %p and %p, armed %v; want one that is not", first, second, armed)
	}
	w.answered(on, first, false)
	if w.by[on] != first {
		t.Error("the watch was forgotten while another caller asks")
	}
	w.answered(on, second, false)
	if len(w.by) != 0 {
		t.Errorf("%d watches are kept that no server has, want none", len(w.by))
	}
}

func TestAWatchThatFiredWhileItWasAskedForIsNotArmedAgain(t *testing.T) {
	w, on := newWatches(), watched{"/p", watchNode}
	one, _ := w.ask(on)
	w.fire(zk.Event{Type: zk.EventNodeDataChanged, Path: "/p"})
	w.answered(on, one, true)
	select {
	case <-one.fired:
	default:
		t.Error("the event was lost")
	}
	if next, armed := w.ask(on); next == one || armed {
		t.Errorf("the next caller shares the watch that has fired (armed %v), want another", armed)
	}
}
