// Command consul measures the Lock of Consul's Go client, on an agent in development
// mode, which keeps its data in memory.
package main

import (
	"context"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/bench/peers/internal/contest"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

const key = "bench/leader"

func main() {
	var total atomic.Int64
	contest.Main(contest.Peer{
		Name: "consul", Version: version(), TTL: 10 * time.Second, // the least that Consul allows
		Serve: serve,
		New: func(_ context.Context, endpoint, id string, ttl time.Duration) (contest.Contender, error) {
			return newContender(&total, endpoint, id, ttl)
		},
		Requests: contest.Count(&total),
		Delete: func(ctx context.Context, endpoint string) error {
			client, err := api.NewClient(&api.Config{Address: endpoint})
			if err != nil {
				return err
			}
			_, err = client.KV().Delete(key, (&api.WriteOptions{}).WithContext(ctx))
			return err
		},
	})
}

func version() string {
	out, err := exec.Command("consul", "version").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	if err != nil {
		return "unknown"
	}
	return strings.TrimPrefix(first, "Consul v")
}

func serve(tb zookeepertest.TB, _ bool) string {
	ports := contest.FreePorts(tb, 4)
	arg := func(name string, i int) string { return "-" + name + "=" + strconv.Itoa(ports[i]) }
	contest.StartProcess(tb, contest.Remedy("consul"), "consul", "agent", "-dev", "-bind=127.0.0.1",
		arg("http-port", 0), arg("server-port", 1), arg("serf-lan-port", 2), arg("serf-wan-port", 3),
		"-grpc-port=-1", "-dns-port=-1")
	endpoint := "127.0.0.1:" + strconv.Itoa(ports[0])
	client, err := api.NewClient(&api.Config{Address: endpoint})
	if err != nil {
		tb.Fatalf("consul: %v", err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if leader, err := client.Status().Leader(); err == nil && leader != "" {
			return endpoint
		} else if time.Now().After(deadline) {
			tb.Fatalf("consul does not serve within a minute: %v", err)
		}
		_ = rig.Pause(context.Background(), 100*time.Millisecond)
	}
}

type contender struct {
	lock *api.Lock
	lost <-chan struct{}
}

func newContender(total *atomic.Int64, endpoint, id string, ttl time.Duration) (contest.Contender, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	client, err := api.NewClient(&api.Config{Address: endpoint, HttpClient: &http.Client{Transport: contest.Counter{Next: transport, Total: total}}})
	if err != nil {
		return nil, err
	}
	lock, err := client.LockOpts(&api.LockOptions{Key: key, Value: []byte(id), SessionTTL: ttl.String()})
	if err != nil {
		return nil, err
	}
	return &contender{lock: lock}, nil
}

func (c *contender) Campaign(ctx context.Context) error {
	var err error
	c.lost, err = c.lock.Lock(ctx.Done())
	if err == nil && c.lost == nil {
		err = context.Cause(ctx)
	}
	return err
}

func (c *contender) Lost() <-chan struct{} { return c.lost }

func (c *contender) Resign(context.Context) error { return c.lock.Unlock() }

func (c *contender) Close() {
	_ = c.lock.Unlock() // it may not be held; otherwise the session ends it
}
