// Command etcd measures the election of etcd's package concurrency, on a server inside
// the process.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/coordd/coordd/bench/peers/internal/contest"
	"github.com/coordd/coordd/bench/peers/internal/etcdserver"
)

const prefix = "/bench"

func main() {
	contest.Main(contest.Peer{
		Name: "etcd", Version: contest.ModuleVersion("go.etcd.io/etcd/server/v3"), TTL: 4 * time.Second,
		Serve: etcdserver.Start, New: newContender, Requests: requests, Delete: deleteLowest,
	})
}

type contender struct {
	id       string
	client   *clientv3.Client
	session  *concurrency.Session
	election *concurrency.Election
}

func newContender(ctx context.Context, endpoint, id string, ttl time.Duration) (contest.Contender, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	session, err := concurrency.NewSession(client, concurrency.WithTTL(int(ttl.Seconds())), concurrency.WithContext(context.WithoutCancel(ctx)))
	if err != nil {
		return nil, err
	}
	return &contender{id: id, client: client, session: session, election: concurrency.NewElection(session, prefix)}, nil
}

func (c *contender) Campaign(ctx context.Context) error { return c.election.Campaign(ctx, c.id) }

// Lost is the end of the session: the election itself tells nothing.
func (c *contender) Lost() <-chan struct{} { return c.session.Done() }

func (c *contender) Resign(ctx context.Context) error { return c.election.Resign(ctx) }

func (c *contender) Close() {
	_ = c.session.Close()
	_ = c.client.Close()
}

// deleteLowest deletes the leader's key.
func deleteLowest(ctx context.Context, endpoint string) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer client.Close()
	first, err := client.Get(ctx, prefix+"/", clientv3.WithFirstCreate()...)
	if err != nil {
		return err
	}
	for _, kv := range first.Kvs {
		_, err = client.Delete(ctx, string(kv.Key))
	}
	return err
}

// requests counts the messages that the server has received over gRPC: calls, and what
// comes on streams, as keep-alives of leases do.
func requests(ctx context.Context, endpoint string) (float64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var sum float64
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "grpc_server_msg_received_total{") {
			continue
		}
		n, err := strconv.ParseFloat(lines.Text()[strings.LastIndex(lines.Text(), " ")+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metrics: %w", err)
		}
		sum += n
	}
	return sum, lines.Err()
}
