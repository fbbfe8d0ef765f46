package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/bench/internal/rig"
)

// jobFile is a small job, as JSON.
const jobFile = `{"name":"etl","tasks":[` +
	`{"id":"extract","parallelism":3,"command":["sh","-c","echo part $COORDD_SUBTASK"],"env":{"REGION":"eu"},"timeout":"10m","retry":{"attempts":3,"delay":"1s"}},` +
	`{"id":"load","needs":["extract"],"command":["./load.sh"]}]}`

// agency is a leading agent and its clients.
type agency struct {
	url  string
	http *http.Client
	// graph stands for what one job stores: as many bytes, which do not compress.
	graph []byte
}

// withAgent calls f while an agent leads a cluster of its own. Its jobs wait for a
// worker, and so are nothing but submitted.
func withAgent(ctx context.Context, e rig.Ensemble, clients int, f func(context.Context, *agency) error) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	ended := make(chan error, 1)
	running.Go(func() {
		ended <- agent.Run(ctx, agent.Config{
			ID: "bench", ZooKeeper: e.Servers, Root: e.Root, ClusterID: "submit", Listener: listener,
			HTTP: listener.Addr().String(), SessionTimeout: e.SessionTimeout,
		})
	})
	transport := &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	a := &agency{url: "http://" + listener.Addr().String(), http: &http.Client{Transport: transport}}
	if err := a.ready(ctx, ended); err != nil {
		return err
	}
	bare, err := e.Open(ctx)
	if err != nil {
		return err
	}
	defer bare.Close()
	if _, err := a.post(ctx, "sample"); err != nil {
		return err
	}
	if a.graph, err = stored(bare, e.Root+"/submit"); err != nil {
		return err
	}
	return f(ctx, a)
}

// ready waits until the agent leads and serves.
func (a *agency) ready(ctx context.Context, ended <-chan error) error {
	for {
		if status, err := a.send(ctx, http.MethodGet, "/leader", nil); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the agent ended: %w", err)
		default:
		}
		if err := rig.Pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// stored returns what the one job of a cluster takes, its graph and its progress in
// one.
func stored(bare *rig.Bare, root string) ([]byte, error) {
	if err := bare.Barrier(); err != nil {
		return nil, err
	}
	var all []byte
	for _, folder := range []string{"/jobgraphs", "/progress"} {
		buckets, _, err := bare.Conn.Children(root + folder)
		if err != nil || len(buckets) != 1 {
			return nil, fmt.Errorf("%s%s has %d buckets, want that of one job: %w", root, folder, len(buckets), err)
		}
		data, _, err := bare.Conn.Get(root + folder + "/" + buckets[0] + "/sample")
		if err != nil {
			return nil, err
		}
		all = append(all, data...)
	}
	return all, nil
}

func (a *agency) send(ctx context.Context, method, path string, body []byte) (int, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := a.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// post submits a job and returns how long that took.
func (a *agency) post(ctx context.Context, id string) (time.Duration, error) {
	start := time.Now()
	status, err := a.send(ctx, http.MethodPost, "/v1/jobs?id="+id, []byte(jobFile))
	if err == nil && status != http.StatusAccepted {
		err = fmt.Errorf("submission of %s was answered with status %d", id, status)
	}
	return time.Since(start), err
}

// submit has all clients submit n jobs and returns how long each took, and all.
func (a *agency) submit(ctx context.Context, round, clients, n int) (rig.Times, time.Duration, error) {
	return spread(clients, n, func(i int) (time.Duration, error) {
		return a.post(ctx, fmt.Sprintf("round-%d-job-%d", round, i))
	})
}

// spread has workers do n pieces of work.
func spread(workers, n int, work func(i int) (time.Duration, error)) (rig.Times, time.Duration, error) {
	times := make(rig.Times, n)
	errs := make([]error, workers)
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var all sync.WaitGroup
	start := time.Now()
	for w := range workers {
		all.Go(func() {
			for i := range next {
				if times[i], errs[w] = work(i); errs[w] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return times, time.Since(start), errors.Join(errs...)
}

// floor creates nodes with a bare session.
type floor struct {
	bare *rig.Bare
	root string
	data []byte
}

// round makes n creates with as many under way as there are workers, then some one
// after the other, and removes them all.
func (f *floor) round(workers, n int) (times rig.Times, took time.Duration, alone rig.Times, err error) {
	if err := f.bare.Ensure(f.root); err != nil {
		return nil, 0, nil, err
	}
	times, took, err = spread(workers, n, func(i int) (time.Duration, error) { return f.create(i) })
	if err != nil {
		return nil, 0, nil, err
	}
	const oneByOne = 50
	for i := range oneByOne {
		t, err := f.create(n + i)
		if err != nil {
			return nil, 0, nil, err
		}
		alone = append(alone, t)
	}
	return times, took, alone, f.bare.Remove(f.root)
}

func (f *floor) create(i int) (time.Duration, error) {
	start := time.Now()
	_, err := f.bare.Conn.Create(fmt.Sprintf("%s/node-%d", f.root, i), f.data, zk.FlagPersistent, zk.WorldACL(zk.PermAll))
	return time.Since(start), err
}
