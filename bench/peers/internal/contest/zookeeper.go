package contest

import (
	"context"
	"runtime/debug"
	"strings"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// ZooKeeperTTL is the session time-out of those that run on ZooKeeper.
const ZooKeeperTTL = 4 * time.Second

// ServeZooKeeper starts a server whose tick is 500 ms.
func ServeZooKeeper(tb zookeepertest.TB, fsync bool) string {
	opts := []zookeepertest.Option{zookeepertest.TickTime(500 * time.Millisecond)}
	if fsync {
		opts = append(opts, zookeepertest.Fsync())
	}
	return zookeepertest.StartServer(tb, opts...).Addr()
}

// ZooKeeperRequests counts the packets that the server has received, pings included.
func ZooKeeperRequests(ctx context.Context, endpoint string) (float64, error) {
	return rig.Ensemble{Servers: []string{endpoint}}.Packets(ctx)
}

// DeleteLowest returns a function that deletes the first node of a latch or lock.
func DeleteLowest(path string) func(context.Context, string) error {
	return func(ctx context.Context, endpoint string) error {
		b, err := rig.Ensemble{Servers: []string{endpoint}, SessionTimeout: ZooKeeperTTL}.Open(ctx)
		if err != nil {
			return err
		}
		defer b.Close()
		node, err := b.Lowest(path)
		if err != nil {
			return err
		}
		return b.Conn.Delete(node, -1)
	}
}

// ModuleVersion returns the version of a module of this program.
func ModuleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return "unknown"
}
