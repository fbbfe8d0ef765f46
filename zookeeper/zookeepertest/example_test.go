package zookeepertest_test

import (
	"fmt"
	"time"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
	"github.com/go-zookeeper/zk"
)

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// A fake serves the real client without a network; here outside of virtual time.
func ExampleNewFake() {
	fake := zookeepertest.NewFake(zookeepertest.FakeConfig{})
	defer fake.Close()
	conn, events, err := zk.Connect([]string{"127.0.0.1:2181"}, 10*time.Second,
		zk.WithDialer(fake.Dial), zk.WithLogger(quiet{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() {
		conn.Close()
		for range events {
		}
	}()
	path, err := conn.Create("/job-", []byte("x"), zk.FlagSequence, zk.WorldACL(zk.PermAll))
	fmt.Println(path, err)
	_, err = conn.Create("/missing/child", nil, 0, zk.WorldACL(zk.PermAll))
	fmt.Println(err)
	for _, txn := range fake.Txns()[1:] {
		fmt.Println(txn.Op, txn.Path, txn.Err)
	}
	// Output:
	// /job-0000000000 <nil>
	// zk: node does not exist
	// create /job-0000000000 0
	// error  -101
}

// Programs that are not tests start real servers inside Run.
func ExampleRun() {
	err := zookeepertest.Run(func(tb zookeepertest.TB) {
		server := zookeepertest.StartServer(tb)
		fmt.Println(server.Mode())
	})
	fmt.Println(err)
	// Output:
	// standalone
	// <nil>
}
