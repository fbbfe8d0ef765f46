package zookeeper

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseConnect(t *testing.T) {
	for in, want := range map[string]struct {
		servers []string
		chroot  string
	}{
		"a":                    {[]string{"a:2181"}, ""},
		"a:1, b:2/x/y/":        {[]string{"a:1", "b:2"}, "/x/y"},
		"[::1]:3,::1,10.0.0.1": {[]string{"[::1]:3", "[::1]:2181", "10.0.0.1:2181"}, ""},
	} {
		servers, chroot, err := ParseConnect(in)
		if err != nil || !slices.Equal(servers, want.servers) || chroot != want.chroot {
			t.Errorf("ParseConnect(%q) = %q, %q, %v; want %q, %q", in, servers, chroot, err, want.servers, want.chroot)
		}
	}
	for in, want := range map[string]string{
		"":        "server is empty",
		"a,,b":    "server is empty",
		"a:":      "lacks its host or port",
		":1":      "lacks its host or port",
		"a:99999": "no valid port",
		"a/x,b":   "once, behind the last server",
		"a:b:c":   "not HOST:PORT",
	} {
		if _, _, err := ParseConnect(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseConnect(%q) = %v, want an error that contains %q", in, err, want)
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"no server":     {Config{}, "no server"},
		"short timeout": {Config{Servers: []string{"a"}, SessionTimeout: time.Millisecond}, "too short"},
		"chroot":        {Config{Servers: []string{"a"}, Chroot: "x"}, "does not begin with /"},
		"no password":   {Config{Servers: []string{"a"}, Security: Security{Auth: []Auth{{Secret: "ann"}}}}, "not of the form user:password"},
		"no owner":      {Config{Servers: []string{"a"}, Security: Security{ACL: CreatorAll}}, "give credentials"},
		"no such ACL":   {Config{Servers: []string{"a"}, Security: Security{ACL: 7}}, "neither WorldAll nor CreatorAll"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that contains %q", name, err, c.want)
		}
	}
}
