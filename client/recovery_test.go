package client

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

func TestRecoveryIsReadAsTheLeaderReportsIt(t *testing.T) {
	n := newNode(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"epoch":7,"dirty":[{"id":"a","status":"FINISHED","finished_at":"2026-11-21T12:00:00Z",`+
			`"resources":[{"name":"outputs","failures":2,"error":"disk on fire"}]}],`+
			`"quarantine":[{"id":"b","reason":"garbage","since":"2026-11-21T12:00:00Z","since_epoch":6}]}`)
	})
	report, err := newClient(t, Config{Addresses: []string{n.url}, Patience: -1}).Recovery(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := report.Dirty; len(d) != 1 || d[0].ID != "a" || d[0].Status != job.StatusFinished || d[0].Resources[0].Failures != 2 {
		t.Errorf("dirty jobs are %+v", d)
	}
	want := gateway.QuarantinedJob{ID: "b", Reason: "garbage", Since: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), SinceEpoch: 6}
	if q := report.Quarantine; len(q) != 1 || q[0] != want {
		t.Errorf("quarantine is %+v, want %+v", q, want)
	}
}

func TestOrdersGoToTheirRoutes(t *testing.T) {
	n := newNode(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"id":"b","status":"RUNNING","leftovers":[{"kind":"blob","path":"x","removed":true}]}`)
	})
	c := newClient(t, Config{Addresses: []string{n.url}, Patience: -1})
	for _, order := range []func() error{
		func() error { _, err := c.RetryQuarantined(t.Context(), "b"); return err },
		func() error { _, err := c.DropQuarantined(t.Context(), "b"); return err },
		func() error { _, err := c.Leftovers(t.Context(), false); return err },
	} {
		if err := order(); err != nil {
			t.Error(err)
		}
	}
	found, err := c.Leftovers(t.Context(), true)
	if err != nil || len(found) != 1 || found[0] != (gateway.Leftover{Kind: "blob", Path: "x", Removed: true}) {
		t.Errorf("leftovers are %+v, %v; want the blob", found, err)
	}
	want := []string{
		"POST /v1/recovery/quarantine/b/retry", "POST /v1/recovery/quarantine/b/drop",
		"GET /v1/recovery/leftovers", "POST /v1/recovery/gc",
	}
	if asked := n.questions(); !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestAJobThatIsNotInQuarantineIsAnErrorOfItsOwn(t *testing.T) {
	n := newNode(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"status":409,"code":"not_quarantined","detail":"job b is not in quarantine"}`)
	})
	if _, err := newClient(t, Config{Addresses: []string{n.url}, Patience: -1}).RetryQuarantined(t.Context(), "b"); !errors.Is(err, ErrNotQuarantined) {
		t.Errorf("error %v, want ErrNotQuarantined", err)
	}
}
