package zookeepertest

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestFakeRefusesDials(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		f.Refuse(true)
		if _, err := f.NewLink().Dial("tcp", "a:1", time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error %v, want connection refused", err)
		}
		f.Refuse(false)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.DialContext(ctx, "tcp", "a:1"); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want canceled", err)
		}
		c, err := f.DialContext(t.Context(), "tcp", "a:1")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		f.Close()
		if _, err := f.Dial("tcp", "a:1", time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error %v after Close, want connection refused", err)
		}
	})
}

func TestFakeClosesOnWhatIsNotTheProtocol(t *testing.T) {
	for name, bytes := range map[string]string{
		"short handshake": "\x00\x00\x00\x02xx", "huge frame": "\x7f\xff\xff\xff", "half a frame": "\x00\x00\x00\x10x",
	} {
		inBubble(t, func(t *testing.T, f *Fake) {
			c, err := f.Dial("tcp", "a:1", 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte(bytes)); err != nil {
				t.Fatal(err)
			}
			if name == "half a frame" {
				_ = c.Close()
				synctest.Wait()
				return // the end of the bubble shows that nothing is left
			}
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s was answered", name)
			}
		})
	}
}

func TestFakeRemovesContainersThatBecameEmpty(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		conn, _, done := connectFake(t, f.Link, 10*time.Second)
		defer done()
		for _, path := range []string{"/used", "/fresh"} {
			if _, err := conn.CreateContainer(path, nil, zk.FlagContainer, zk.WorldACL(zk.PermAll)); err != nil {
				t.Fatal(err)
			}
		}
		create(t, conn, "/used/x", "", 0)
		f.RemoveEmptyContainers()
		wantNode(t, f, "/used", true)
		if err := conn.Delete("/used/x", -1); err != nil {
			t.Fatal(err)
		}
		f.RemoveEmptyContainers()
		wantNode(t, f, "/used", false)
		wantNode(t, f, "/fresh", true)
	})
}
