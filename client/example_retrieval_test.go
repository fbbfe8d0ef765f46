package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/retrieval/zk"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// withCluster calls use with a client of the cluster below the path, which it finds in
// ZooKeeper: no address of a node is configured.
func withCluster(ctx context.Context, ensemble zookeeper.Config, path string, use func(context.Context, *client.Client) error) error {
	keeper, err := zookeeper.New(ensemble)
	if err != nil {
		return err
	}
	driver, err := zk.New(zk.Config{Client: keeper, Leaders: path + "/leader"})
	if err != nil {
		return err
	}
	retriever, err := retrieval.New(retrieval.Config{Driver: driver, Component: leader.RESTServer})
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{Retrieval: retriever})
	if err != nil {
		return err
	}
	defer c.Close()
	return keeper.While(ctx, func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- retriever.Run(ctx) }()
		defer func() { stop(); <-ended }()
		return use(ctx, c)
	})
}

// A program that submits a job and follows it to its end, against a ZooKeeper server and
// a node inside the process. With a real ensemble, leave Dial out.
func Example_retrieval() {
	server := zookeepertest.NewFake(zookeepertest.FakeConfig{})
	defer server.Close()
	ensemble := zookeeper.Config{Servers: []string{"127.0.0.1:2181"}, Dial: server.DialContext}
	cluster := httptest.NewServer(clusterOfOneJob())
	defer cluster.Close()
	ctx := context.Background()
	if err := publish(ctx, ensemble, leader.Info{Component: leader.RESTServer, ID: "node-1", Address: cluster.URL}); err != nil {
		fmt.Println(err)
		return
	}

	const file = "name: etl\ntasks: [{id: extract, command: [./extract.sh]}]\n"
	err := withCluster(ctx, ensemble, "/coordd/default", func(ctx context.Context, c *client.Client) error {
		if _, _, err := c.Submit(ctx, "etl-2026-11-21", []byte(file)); err != nil {
			return err
		}
		for snap, err := range c.Follow(ctx, "etl-2026-11-21") {
			if err != nil {
				return err
			}
			fmt.Println(snap.ID, "is", snap.Status)
		}
		return nil
	})
	fmt.Println(err)

	// Output:
	// etl-2026-11-21 is RUNNING
	// etl-2026-11-21 is FINISHED
	// <nil>
}

// clusterOfOneJob stands for a cluster: the job runs when it is first looked at, and
// has finished when it is looked at again.
func clusterOfOneJob() http.Handler {
	looked := 0
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/jobs", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"id":%q,"status":"INITIALIZING"}`, r.URL.Query().Get("id"))
	})
	mux.HandleFunc("GET /v1/jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		status := "RUNNING"
		if looked++; looked > 1 {
			status = "FINISHED"
		}
		fmt.Fprintf(w, `{"id":%q,"status":%q}`, r.PathValue("id"), status)
	})
	return mux
}

// publish does what a leading agent does.
func publish(ctx context.Context, ensemble zookeeper.Config, info leader.Info) error {
	info.SessionID, info.Epoch, info.Phase = leader.NewSessionID(), 7, leader.PhaseReady
	data, err := info.Encode()
	if err != nil {
		return err
	}
	keeper, err := zookeeper.New(ensemble)
	if err != nil {
		return err
	}
	return keeper.While(ctx, func(ctx context.Context) error {
		session, err := keeper.Session(ctx)
		if err != nil {
			return err
		}
		if err := session.EnsurePath(ctx, "/coordd/default/leader", zookeeper.Persistent); err != nil {
			return err
		}
		return session.Create(ctx, "/coordd/default/leader/"+info.Component, data, zookeeper.Persistent)
	})
}
