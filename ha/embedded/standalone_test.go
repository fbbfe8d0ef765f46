package embedded_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

func TestStandaloneGrantsAtOnceAndOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{Standalone: true})
		p := started(t, b, "a")
		tenure := campaign(t, p)
		if err := create(p, tenure.Guard(), "x"); err != nil {
			t.Errorf("write: %v", err)
		}
		if err := failed(p.Election().Campaign(t.Context(), election.Candidate{ID: "a"})); !errors.Is(err, embedded.ErrStandalone) {
			t.Errorf("contending twice: %v, want ErrStandalone", err)
		}
		if err := p.Run(t.Context()); !errors.Is(err, embedded.ErrRunning) {
			t.Errorf("starting twice: %v, want ErrRunning", err)
		}
		other := b.Participant("b")
		for call, err := range map[string]error{
			"Run":      other.Run(t.Context()),
			"Campaign": failed(other.Election().Campaign(t.Context(), election.Candidate{ID: "b"})),
		} {
			if !errors.Is(err, embedded.ErrStandalone) || !strings.Contains(err.Error(), `"a" is running`) {
				t.Errorf("%s of a second participant: %v, want ErrStandalone that names the first", call, err)
			}
		}
		if err := tenure.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if next := campaign(t, p); next.Guard().Epoch() <= tenure.Guard().Epoch() {
			t.Errorf("epoch %d follows %d, want it to grow", next.Guard().Epoch(), tenure.Guard().Epoch())
		}
	})
}

func TestStandaloneGoesOnInTheNextProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{Standalone: true})
		first := started(t, b, "a")
		tenure := campaign(t, first)
		if err := create(first, tenure.Guard(), "x"); err != nil {
			t.Fatal(err)
		}
		first.Kill()
		synctest.Wait()
		second := started(t, b, "a")
		next := campaign(t, second)
		if data, err := second.Store().Get(t.Context(), next.Guard(), "x"); err != nil || string(data) != "x" {
			t.Errorf("the restarted process reads %q, %v; want what was written before", data, err)
		}
	})
}

func TestStandaloneAddressesAreFixedUntilALeaderIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fixed := leader.Info{Component: leader.Dispatcher, Address: "http://127.0.0.1:7420"}
		b := newBackend(t, embedded.Config{Standalone: true, Leaders: []leader.Info{fixed}})
		p := b.Participant("a")
		got := observe(t, p)
		if got.Status != retrieval.StatusKnown || got.Info.Address != fixed.Address || got.Info.Epoch != 1 || got.Info.SessionID == "" {
			t.Errorf("before anything runs: %+v, want the fixed address", got)
		}
		run(t, p)
		tenure := campaign(t, p)
		if err := tenure.Publish(t.Context(), info("a", tenure)); err != nil {
			t.Fatal(err)
		}
		next := observe(t, p)
		if next.Info != info("a", tenure) || next.Info.Epoch <= got.Info.Epoch || next.Index <= got.Index {
			t.Errorf("after publication: %+v, want what was published, newer than %+v", next, got)
		}
	})
}

func TestConfigsThatCannotBeUsedAreRefused(t *testing.T) {
	for want, cfg := range map[string]embedded.Config{
		"SessionTimeout": {SessionTimeout: -1},
		"MaxTransaction": {MaxTransaction: -1},
		"Standalone":     {Leaders: []leader.Info{{Component: "x"}}},
		"no component":   {Standalone: true, Leaders: []leader.Info{{}}},
		"twice":          {Standalone: true, Leaders: []leader.Info{{Component: "x"}, {Component: "x"}}},
	} {
		if _, err := embedded.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v): %v, want an error with %q", cfg, err, want)
		}
	}
}
