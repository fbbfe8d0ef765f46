package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"

	"github.com/coordd/coordd/rpc"
)

// redial is how gRPC itself makes a lost connection again. Who needs it back sooner
// connects again.
func redial() grpc.ConnectParams {
	return grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
		MinConnectTimeout: 5 * time.Second,
	}
}

// links are the open connections of a service.
type links struct {
	service *Service

	mu sync.Mutex
	// open is, for each address, the one that is shared; all are those in use, also the
	// ones that were replaced because they had failed.
	open   map[string]*link
	all    map[*link]struct{}
	closed bool
}

// link is a connection to an address, shared by who connected to something there.
type link struct {
	address string
	cc      *grpc.ClientConn
	// failed is why the newest attempt to dial failed, nil when it did not.
	failed atomic.Pointer[error]
	users  int // under links.mu
}

// acquire returns a connection to an address; release is called once for each. One that
// has failed is not returned: until gRPC makes it again, it would answer with what was
// wrong before.
func (l *links) acquire(address string) (*link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fmt.Errorf("the RPC service here: %w", rpc.ErrStopped)
	}
	k := l.open[address]
	if k == nil || k.failed.Load() != nil || k.cc.GetState() == connectivity.TransientFailure {
		k = &link{address: address}
		if err := l.service.prepare(k); err != nil {
			return nil, err
		}
		l.open[address] = k
		l.all[k] = struct{}{}
	}
	k.users++
	return k, nil
}

// prepare gives a link its gRPC connection. That dials in the background when it is
// used, and ends that when it is closed.
func (s *Service) prepare(k *link) (err error) {
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := s.cfg.Dial(ctx, address)
		if err != nil {
			k.failed.Store(&err)
			return nil, err
		}
		k.failed.Store(nil)
		return conn, nil
	}
	k.cc, err = grpc.NewClient("passthrough:///"+k.address,
		grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(s.keys.dialCredentials(k)),
		grpc.WithConnectParams(redial()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(s.cfg.MaxMessage), grpc.MaxCallSendMsgSize(s.cfg.MaxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithIdleTimeout(0),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
	)
	return err
}

// release closes a connection that nobody uses any more.
func (l *links) release(k *link) {
	l.mu.Lock()
	k.users--
	_, there := l.all[k]
	unused := k.users == 0 && there
	if unused {
		delete(l.all, k)
		if l.open[k.address] == k {
			delete(l.open, k.address)
		}
	}
	l.mu.Unlock()
	if unused {
		_ = k.cc.Close() // it fails only when it is closed already
	}
}

// close closes all connections and lets no more be made.
func (l *links) close() {
	l.mu.Lock()
	all := l.all
	l.open, l.all, l.closed = nil, nil, true
	l.mu.Unlock()
	for k := range all {
		_ = k.cc.Close()
	}
}

// unreachable makes an error of why there is no connection, which is text. Whether that
// is what failed says shows in it: a call that was under way when the connection was lost
// has another reason than one for which there was none, and may have had its effect.
func (k *link) unreachable(text string) error {
	failed := k.failed.Load()
	switch {
	case failed == nil, !strings.Contains(text, (*failed).Error()):
		return fmt.Errorf("%w: %s", rpc.ErrUnreachable, text)
	case errors.Is(*failed, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: %w: %w", rpc.ErrUnreachable, rpc.ErrRefused, *failed)
	default:
		return fmt.Errorf("%w: %w", rpc.ErrUnreachable, *failed)
	}
}
