package coordinator

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestConfigNamesWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	good := Config{Jobs: w.jobs, Results: w.results, Dispatchers: w}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"Jobs":        {func(c *Config) { c.Jobs = nil }, "Jobs"},
		"Results":     {func(c *Config) { c.Results = nil }, "Results"},
		"Dispatchers": {func(c *Config) { c.Dispatchers = nil }, "Dispatchers"},
		"Reads":       {func(c *Config) { c.Reads = -1 }, "Reads"},
	} {
		cfg := good
		c.change(&cfg)
		if r, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.want) || r != nil {
			t.Errorf("%s: New returned %v, %v", name, r, err)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	bad := DispatcherConfig{Jobs: w.jobs, Results: w.results, Runners: w.runners, CleanupRetry: Backoff{First: time.Hour, Max: time.Second}}
	if _, err := NewSessionFactory(bad); err == nil || !strings.Contains(err.Error(), "CleanupRetry") {
		t.Errorf("NewSessionFactory returned %v, want one that names CleanupRetry", err)
	}
	if _, err := NewSessionFactory(DispatcherConfig{}); err == nil || !strings.Contains(err.Error(), "Runners") {
		t.Errorf("NewSessionFactory returned %v, want one that names Runners", err)
	}
	if reflect.DeepEqual(bad.withDefaults().ResultRetry, Backoff{}) {
		t.Error("ResultRetry has no defaults")
	}
}
