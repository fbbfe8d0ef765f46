package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// Agent, run and leader --latch share a chroot and credentials, and all that they
// create is theirs alone.
func TestOneSetOfFlagsSecuresAllCommands(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t)
	dir := t.TempDir()
	secret, other := filepath.Join(dir, "auth"), filepath.Join(dir, "other")
	for file, text := range map[string]string{secret: "ann:secret\n", other: "ann:typo\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ensemble := srv.Addr() + "/tenants/blue"
	secured := []string{"--zookeeper-auth-file", secret, "--zookeeper-acl", "creator"}

	a := startAgent(t, ensemble, "node-1", secured...)
	awaitLeader(t, 0, a)
	c := startRun(t, dir, ensemble, "me", serve, secured...)
	awaitEntry(t, dir, 1)

	for path, who := range map[string]string{"/coordd/test/latch": "node-1", latch: "me"} {
		args := append([]string{"leader", "--zookeeper", ensemble, "--latch", path}, secured...)
		if out, code := coordd(t, args...); code != 0 || !strings.Contains(out, who) {
			t.Errorf("leader of %s: %q and exit code %d, want %s and 0", path, out, code, who)
		}
	}
	args := []string{"leader", "--zookeeper", ensemble, "--latch", latch, "--zookeeper-auth-file", other}
	if out, code := coordd(t, args...); code != 1 || !strings.Contains(out, "a wrong password is never refused") {
		t.Errorf("leader with a wrong password: %q and exit code %d, want 1 and what passwords are", out, code)
	}
	stranger := session(t, srv)
	for _, path := range []string{"/tenants", "/tenants/blue", "/tenants/blue/coordd", "/tenants/blue/coordd/test/latch", "/tenants/blue" + latch} {
		if _, _, err := stranger.Children(t.Context(), path); !errors.Is(err, zookeeper.ErrNoAuth) {
			t.Errorf("a stranger lists %s: error %v, want %v", path, err, zookeeper.ErrNoAuth)
		}
	}
	if said := c.said(t); strings.Contains(said, "secret") {
		t.Errorf("the password was logged:\n%s", said)
	}
}
