package client

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/coordd/coordd/cluster/gateway"
)

func TestWorkersAndMetricsAreRead(t *testing.T) {
	n := newNode(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/workers":
			fmt.Fprint(w, `{"workers":[{"id":"w-1","rpc_address":"127.0.0.1:7431","state":"READY","slots":4,"free_slots":1}]}`)
		case "/v1/workers/w-1/drain":
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, `{"id":"w-1","rpc_address":"127.0.0.1:7431","state":"DRAINING","slots":4,"free_slots":1}`)
		case "/v1/workers/w-1/metrics", "/v1/jobs/etl/metrics":
			fmt.Fprint(w, `{"metrics":[{"name":"m","labels":{"a":"b"},"value":1.5}]}`)
		default:
			says(404, `{"code":"no_such_worker","detail":"no worker has the id"}`)(w, r)
		}
	})
	c := newClient(t, Config{Addresses: []string{n.url}})
	ctx := t.Context()
	list, err := c.Workers(ctx)
	if err != nil || len(list) != 1 || list[0].ID != "w-1" || list[0].State != gateway.WorkerReady || list[0].FreeSlots != 1 {
		t.Errorf("Workers are %+v, %v", list, err)
	}
	w, err := c.DrainWorker(ctx, "w-1")
	if err != nil || w.State != gateway.WorkerDraining || w.Slots != 4 {
		t.Errorf("DrainWorker is %+v, %v", w, err)
	}
	ofWorker, err := c.WorkerMetrics(ctx, "w-1")
	if err != nil || len(ofWorker) != 1 || ofWorker[0].Name != "m" || ofWorker[0].Value != 1.5 {
		t.Errorf("WorkerMetrics are %+v, %v", ofWorker, err)
	}
	ofJob, err := c.JobMetrics(ctx, "etl")
	if err != nil || len(ofJob) != 1 || ofJob[0].Labels["a"] != "b" {
		t.Errorf("JobMetrics are %+v, %v", ofJob, err)
	}
	if _, err := c.DrainWorker(ctx, "no/pe"); !errors.Is(err, ErrNoWorker) {
		t.Errorf("DrainWorker of an unknown worker is %v, want ErrNoWorker", err)
	}
	want := []string{
		"GET /v1/workers", "POST /v1/workers/w-1/drain", "GET /v1/workers/w-1/metrics", "GET /v1/jobs/etl/metrics",
		"POST /v1/workers/no%2Fpe/drain",
	}
	if got := n.questions(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}
