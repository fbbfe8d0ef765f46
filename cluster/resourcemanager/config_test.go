package resourcemanager

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/coordd/coordd/ha/embedded"
)

func TestConfigNamesEverythingThatIsWrong(t *testing.T) {
	_, err := New(Config{HeartbeatTimeout: -1, JobLeaderWait: -1, Patience: -1, Failures: -1})
	for _, want := range []string{"Network", "Records", "Leaders", "HeartbeatTimeout", "JobLeaderWait", "Patience", "Failures"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s named", err, want)
		}
	}
}

func TestAManagerRunsOnce(t *testing.T) {
	b, err := embedded.New(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewManager(Config{Network: &network{}, Records: b.Participant("node").Store(), Leaders: newLeaders()}, Term{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Run(ctx); err == nil {
		t.Error("Run returned nil, want an error: the guard is nobody's")
	}
	if err := m.Run(ctx); !errors.Is(err, errStartedTwice) {
		t.Errorf("second Run: %v, want errStartedTwice", err)
	}
	if _, err := m.Workers(t.Context()); err == nil {
		t.Error("a manager that has ended answers")
	}
}
