// Package etcdserver runs an etcd server inside the process, for etcd's own election
// and for Kubernetes' API server.
package etcdserver

import (
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// Start starts a server, which waits for the disk at each write or not, and returns its
// URL. It ends with tb.
func Start(tb zookeepertest.TB, fsync bool) string {
	dir, err := os.MkdirTemp("", "etcd-")
	if err != nil {
		tb.Fatalf("make a folder for etcd: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	cfg := embed.NewConfig()
	cfg.Dir, cfg.UnsafeNoFsync, cfg.LogLevel = dir, !fsync, "panic"
	loopback := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenClientUrls, cfg.ListenPeerUrls = loopback, loopback
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		tb.Fatalf("start etcd: %v", err)
	}
	tb.Cleanup(server.Close)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(time.Minute):
		tb.Fatalf("etcd does not serve within a minute")
	}
	return "http://" + server.Clients[0].Addr().String()
}
