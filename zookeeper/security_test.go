package zookeeper_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func wantText(t *testing.T, what string, err error, want ...string) {
	t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%s: error %v, want one that contains %q", what, err, w)
		}
	}
}

// soon bounds a try that cannot succeed.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// secured returns the configuration of a client of a real server.
func secured(srv *zookeepertest.Server, security zookeeper.Security) zookeeper.Config {
	return zookeeper.Config{Servers: []string{srv.Addr()}, SessionTimeout: 4 * time.Second, Security: security}
}

// creator returns the security of a client whose nodes belong to it.
func creator(secrets ...string) zookeeper.Security {
	s := zookeeper.Security{ACL: zookeeper.CreatorAll}
	for _, secret := range secrets {
		s.Auth = append(s.Auth, zookeeper.Auth{Secret: secret})
	}
	return s
}

func TestNodesOfACreatorAreItsOwnOnEveryLevel(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	ctx := within(t)
	owner := openWith(t, secured(srv, creator("ann:secret")))
	must(t, owner.EnsurePath(ctx, "/a/b/box", zookeeper.Container))
	must(t, owner.Create(ctx, "/a/b/plain", nil, zookeeper.Persistent))
	must(t, owner.Create(ctx, "/a/b/brief", nil, zookeeper.Ephemeral))
	must(t, owner.Multi(ctx, zookeeper.CreateOp("/a/b/multi", nil, zookeeper.Persistent)))
	latch, _, err := owner.CreateProtected(ctx, "/a/latch", "latch-", nil)
	must(t, err)
	leaf, _, err := owner.CreateProtected(ctx, "/a/b/box", "latch-", nil)
	must(t, err)

	for name, other := range map[string]*zookeeper.Session{
		"nobody":         openWith(t, secured(srv, zookeeper.Security{})),
		"wrong password": openWith(t, secured(srv, creator("ann:other"))),
	} {
		for _, path := range []string{"/a", "/a/b", "/a/b/box", "/a/b/plain", "/a/b/brief", "/a/b/multi", "/a/latch", latch, leaf} {
			what := name + " at " + path
			wantErr(t, what+": get", second(other.Get(ctx, path)), zookeeper.ErrNoAuth)
			wantErr(t, what+": create", other.Create(ctx, path+"/x", nil, zookeeper.Persistent), zookeeper.ErrNoAuth)
			wantErr(t, what+": set", other.Multi(ctx, zookeeper.SetOp(path, nil, -1)), zookeeper.ErrNoAuth)
		}
		wantErr(t, name+": delete", other.Delete(ctx, latch, -1), zookeeper.ErrNoAuth)
		wantErr(t, name+": multi", other.Multi(ctx, zookeeper.DeleteOp(leaf, -1)), zookeeper.ErrNoAuth)
	}
	must(t, owner.Delete(ctx, latch, -1))
	must(t, openWith(t, secured(srv, creator("ann:secret"))).Delete(ctx, leaf, -1))
}

func TestMissingRightNamesTheIdentityAndTheRemedy(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	ctx := within(t)
	must(t, openWith(t, secured(srv, creator("ann:secret"))).Create(ctx, "/a", nil, zookeeper.Persistent))

	wrong := second(openWith(t, secured(srv, creator("ann:typo"))).Get(ctx, "/a"))
	wantErr(t, "wrong password", wrong, zookeeper.ErrNoAuth)
	wantText(t, "wrong password", wrong, "get /a", "digest:ann", "a wrong password is never refused")
	if strings.Contains(wrong.Error(), "typo") {
		t.Errorf("error %q shows the password", wrong)
	}
	none := second(openWith(t, secured(srv, zookeeper.Security{})).Get(ctx, "/a"))
	wantErr(t, "no credentials", none, zookeeper.ErrNoAuth)
	wantText(t, "no credentials", none, "gave no credentials")
}

// Who presents two identities makes nodes that belong to both: so a password is
// changed without a moment in which somebody is locked out.
func TestPasswordIsChangedByPresentingBoth(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	ctx := within(t)
	both := openWith(t, secured(srv, creator("ann:old", "ann:new")))
	must(t, both.Create(ctx, "/a", nil, zookeeper.Persistent))
	for _, secret := range []string{"ann:old", "ann:new"} {
		_, _, err := openWith(t, secured(srv, creator(secret))).Get(ctx, "/a")
		must(t, err)
	}
}

func TestIdentityStaysAfterAReconnect(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	proxy := zookeepertest.StartProxy(t, srv.Addr())
	cfg := secured(srv, creator("ann:secret"))
	cfg.Servers = []string{proxy.Addr()}
	s := openWith(t, cfg)
	ctx := within(t)
	must(t, s.Create(ctx, "/a", nil, zookeeper.Persistent))
	proxy.Cut()
	awaitState(t, s, zookeeper.Suspended)
	proxy.Heal()
	_, _, err := s.Get(ctx, "/a")
	must(t, err)
}

func TestUnknownSchemeIsRefusedAndNamed(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	cfg := secured(srv, zookeeper.Security{Auth: []zookeeper.Auth{{Scheme: "bogus", Secret: "hidden"}}})
	_, err := zookeeper.Open(soon(t), cfg)
	wantErr(t, "open", err, zookeeper.ErrNoAuth)
	wantText(t, "open", err, "bogus", "does it know the scheme")
}

func TestCredentialsAreNeverPrinted(t *testing.T) {
	cfg := zookeeper.Config{Security: creator("ann:hidden")}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, cfg); strings.Contains(text, "hidden") {
			t.Errorf("%s of a configuration shows the password: %s", format, text)
		}
	}
}

func TestNodesAboveThatAreOpenToAllAreToldOfOnce(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	ctx := within(t)
	must(t, openWith(t, secured(srv, zookeeper.Security{})).EnsurePath(ctx, "/open/latch", zookeeper.Persistent))
	var out syncBuffer
	cfg := secured(srv, creator("ann:secret"))
	cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &out})
	client, err := zookeeper.New(cfg)
	must(t, err)
	runCtx, stop := context.WithCancel(t.Context())
	ended := background(func() error { return client.Run(runCtx) })

	for range 2 { // also in its next session
		s, err := client.Session(ctx)
		must(t, err)
		_, _, err = s.CreateProtected(ctx, "/open/latch", "latch-", nil)
		must(t, err)
		_, _, err = s.CreateProtected(ctx, "/own/latch", "latch-", nil)
		must(t, err)
		must(t, s.Multi(ctx, zookeeper.CreateOp("/open/multi", nil, zookeeper.Ephemeral)))
		must(t, s.Close())
	}
	stop()
	<-ended
	for path, want := range map[string]int{"path=/open": 1, "path=/open/latch": 1, "path=/own": 0, "path=/own/latch": 0, "path=/": 0} {
		got := 0
		for line := range strings.Lines(out.text()) {
			if strings.HasSuffix(strings.TrimSpace(line), path) && strings.Contains(line, "everybody may") {
				got++
			}
		}
		if got != want {
			t.Errorf("%d warnings of %s, want %d; the log is %q", got, path, want, out.text())
		}
	}
}

func TestChrootIsMadeAndItsNodesBelongToTheCreator(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	ctx := within(t)
	cfg := secured(srv, creator("ann:secret"))
	cfg.Chroot = "/tenants/blue"
	_, _, err := openWith(t, cfg).CreateProtected(ctx, "/latch", "latch-", nil)
	must(t, err)
	below, _, fired, err := openWith(t, cfg).WatchChildren(ctx, "/")
	must(t, err)
	if len(below) != 1 || below[0] != "latch" {
		t.Errorf("%q below / in the chroot, want the latch", below)
	}
	must(t, openWith(t, cfg).Create(ctx, "/other", nil, zookeeper.Persistent))
	select {
	case <-fired:
	case <-ctx.Done():
		t.Error("a watch of / in the chroot did not fire")
	}
	cfg.Chroot = ""
	names, _, err := openWith(t, cfg).Children(ctx, "/tenants/blue/latch")
	must(t, err)
	if len(names) != 1 {
		t.Errorf("%q below the chroot, want one node", names)
	}
	stranger := openWith(t, secured(srv, zookeeper.Security{}))
	for _, path := range []string{"/tenants", "/tenants/blue", "/tenants/blue/latch"} {
		wantErr(t, path, second(stranger.Get(ctx, path)), zookeeper.ErrNoAuth)
	}
}
