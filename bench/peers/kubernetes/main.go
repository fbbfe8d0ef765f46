// Command kubernetes measures client-go's leaderelection with a Lease, on a real API
// server over an etcd server inside the process, with the durations that Kubernetes'
// own components use.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/bench/peers/internal/contest"
	"github.com/coordd/coordd/bench/peers/internal/etcdserver"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// The defaults of Kubernetes' components (k8s.io/component-base/config/v1alpha1); they
// renew within 10 s. Other lease durations keep the proportions.
const (
	leaseDuration = 15 * time.Second
	retryPeriod   = 2 * time.Second
)

const token = "bench"

func main() {
	klog.SetOutput(os.Stderr)
	klog.LogToStderr(false)
	klog.SetLogger(klog.Logger{})
	var total atomic.Int64
	contest.Main(contest.Peer{
		Name: "kubernetes", Version: "client-go " + contest.ModuleVersion("k8s.io/client-go"),
		TTL: leaseDuration, Phase: retryPeriod, Serve: serve,
		New: func(_ context.Context, endpoint, id string, ttl time.Duration) (contest.Contender, error) {
			return newContender(&total, endpoint, id, ttl)
		},
		Requests: contest.Count(&total),
		Delete: func(ctx context.Context, endpoint string) error {
			client, err := kubernetes.NewForConfig(config(endpoint))
			if err != nil {
				return err
			}
			return client.CoordinationV1().Leases("default").Delete(ctx, "bench", metav1.DeleteOptions{})
		},
	})
}

// serve starts an API server to which one token gives all rights.
func serve(tb zookeepertest.TB, fsync bool) string {
	store := etcdserver.Start(tb, fsync)
	dir, err := os.MkdirTemp("", "kube-")
	if err != nil {
		tb.Fatalf("make a folder for the API server: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			tb.Fatalf("%v", err)
		}
		return path
	}
	keys := write("sa.key", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	tokens := write("tokens.csv", []byte(token+",bench,bench,system:masters\n"))
	port := strconv.Itoa(contest.FreePorts(tb, 1)[0])
	contest.StartProcess(tb, contest.Remedy("kube-apiserver"), "kube-apiserver",
		"--etcd-servers="+store, "--secure-port="+port, "--bind-address=127.0.0.1", "--cert-dir="+dir,
		"--service-account-issuer=https://bench", "--service-account-key-file="+keys, "--service-account-signing-key-file="+keys,
		"--token-auth-file="+tokens, "--authorization-mode=AlwaysAllow", "--disable-admission-plugins=ServiceAccount",
		"--service-cluster-ip-range=10.0.0.0/24", "--v=0")
	endpoint := "https://127.0.0.1:" + port
	client, err := kubernetes.NewForConfig(config(endpoint))
	if err != nil {
		tb.Fatalf("kubernetes: %v", err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		_, err := client.CoordinationV1().Leases("default").List(context.Background(), metav1.ListOptions{})
		if err == nil {
			if _, err = client.CoreV1().Namespaces().Get(context.Background(), "default", metav1.GetOptions{}); err == nil {
				return endpoint
			}
		}
		if time.Now().After(deadline) {
			tb.Fatalf("the API server does not serve within two minutes: %v", err)
		}
		_ = rig.Pause(context.Background(), 200*time.Millisecond)
	}
}

func config(endpoint string) *rest.Config {
	return &rest.Config{Host: endpoint, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

type contender struct {
	id      string
	ttl     time.Duration
	client  *kubernetes.Clientset
	stop    context.CancelFunc
	running sync.WaitGroup
	lost    chan struct{}
}

func newContender(total *atomic.Int64, endpoint, id string, ttl time.Duration) (contest.Contender, error) {
	cfg := config(endpoint)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return contest.Counter{Next: next, Total: total} })
	client, err := kubernetes.NewForConfig(cfg)
	return &contender{id: id, ttl: ttl, client: client}, err
}

// Campaign runs an elector until Resign.
func (c *contender) Campaign(ctx context.Context) error {
	leads, lost := make(chan struct{}), make(chan struct{})
	c.lost = lost
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: "default", Name: "bench"},
			Client:     c.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: c.id},
		},
		LeaseDuration: c.ttl, RenewDeadline: c.ttl / 15 * 10, RetryPeriod: c.ttl / 15 * 2,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(leads) },
			OnStoppedLeading: func() { close(lost) },
		},
	})
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	c.stop = stop
	ended := make(chan struct{})
	c.running.Go(func() { defer close(ended); elector.Run(run) })
	select {
	case <-leads:
		return nil
	case <-ended:
		return errors.Join(context.Cause(run), errors.New("the elector ended without leading"))
	}
}

func (c *contender) Lost() <-chan struct{} { return c.lost }

func (c *contender) Resign(context.Context) error {
	c.Close()
	return nil
}

func (c *contender) Close() {
	if c.stop != nil {
		c.stop()
	}
	c.running.Wait()
}
