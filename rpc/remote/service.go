package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/coordd/coordd/rpc"
)

// The defaults of a Config.
const (
	// DefaultMaxMessage is the size limit of a message: 10 MiB.
	DefaultMaxMessage = 10 << 20
	// DefaultStopGrace is how long calls may take to end when a service stops.
	DefaultStopGrace = 5 * time.Second
)

// Config says what a service is.
type Config struct {
	// Listener is where other processes connect. Run closes it. Nil: they cannot.
	Listener net.Listener
	// Address is what other processes dial, as host:port; calls to it stay in the
	// process. Empty: that of Listener, which must not be all addresses; without one, "".
	Address string
	// Gateways are the types of gateways that are hosted, or connected to.
	Gateways []*grpc.ServiceDesc
	// Errors are the errors of implementations that reach the caller as they are;
	// those of package rpc do anyway. Both sides must have the same.
	Errors []Kind
	// TLS secures what is served and dialled. Nil: nothing is.
	TLS *TLS
	// MaxMessage is the size limit of a message in bytes, both ways. Zero:
	// DefaultMaxMessage. Calls within the process have none.
	MaxMessage int
	// StopGrace is how long calls under way may take when Run's context has ended,
	// until theirs end. Zero: DefaultStopGrace.
	StopGrace time.Duration
	// ForceWire has calls within the process go through the network as well.
	ForceWire bool
	// Metrics counts calls. Nil: nothing does.
	Metrics *Metrics
	// Dial makes connections. Nil: TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Logger is told what no caller is. Nil: no logs.
	Logger hclog.Logger

	// protocol is the version that is spoken, another in tests.
	protocol int
}

// Validate returns what is wrong with the configuration.
func (c Config) Validate() error {
	if c.MaxMessage < 0 || c.StopGrace < 0 {
		return fmt.Errorf("rpc service: message limit %d, stop grace %v: neither can be negative", c.MaxMessage, c.StopGrace)
	}
	if c.Listener != nil && c.Address == "" {
		// Who listens on all addresses has to say by which one it is found.
		if addr, err := netip.ParseAddrPort(c.Listener.Addr().String()); err == nil && addr.Addr().IsUnspecified() {
			return fmt.Errorf("rpc service: it listens on %v; Address must say where others find it", addr)
		}
	}
	if c.TLS != nil {
		return c.TLS.Validate()
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Address == "" && c.Listener != nil {
		c.Address = c.Listener.Addr().String()
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	if c.StopGrace == 0 {
		c.StopGrace = DefaultStopGrace
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.protocol == 0 {
		c.protocol = Protocol
	}
	return c
}

// Service hosts endpoints of its process for others, and connects to theirs. Its
// methods may be called from any goroutine.
type Service struct {
	cfg     Config
	keys    *keyring
	kinds   kinds
	methods map[string]*method // by full name
	links   *links

	mu     sync.RWMutex
	places map[place]*hosted
}

// place is where calls of a gateway to an endpoint go.
type place struct{ gateway, endpoint string }

// hosted is what they find there.
type hosted struct {
	endpoint Endpoint
	impl     any
}

// method is one method of a gateway.
type method struct {
	full, gateway string
	handle        grpc.MethodHandler
	meters        meters
}

// New returns a service. It can connect at once, and is connected to when it runs.
func New(cfg Config) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg.withDefaults(), methods: make(map[string]*method), places: make(map[place]*hosted)}
	s.keys = &keyring{files: cfg.TLS, log: s.cfg.Logger}
	s.links = &links{service: s, open: make(map[string]*link), all: make(map[*link]struct{})}
	var err error
	if s.kinds, err = newKinds(cfg.Errors); err != nil {
		return nil, err
	}
	for _, desc := range cfg.Gateways {
		if len(desc.Streams) > 0 {
			return nil, fmt.Errorf("rpc service: gateway %s has streams, only unary methods are served", desc.ServiceName)
		}
		for _, m := range desc.Methods {
			full := "/" + desc.ServiceName + "/" + m.MethodName
			if s.methods[full] != nil {
				return nil, fmt.Errorf("rpc service: gateway %s is given twice", desc.ServiceName)
			}
			s.methods[full] = &method{full: full, gateway: desc.ServiceName, handle: m.Handler, meters: cfg.Metrics.of(full)}
		}
	}
	return s, nil
}

// Address returns what other processes dial, "" when they cannot.
func (s *Service) Address() string { return s.cfg.Address }

// Run serves other processes until ctx ends, lets the calls under way end within the
// stop grace, and closes all connections, also those that Connect made. It returns
// ctx's error, or what made it stop serving before.
func (s *Service) Run(ctx context.Context) error {
	defer s.links.close()
	if s.cfg.Listener == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	server := s.server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.cfg.Listener) }()
	select {
	case err := <-served:
		server.Stop()
		return fmt.Errorf("serve RPC on %s: %w", s.cfg.Address, errors.Join(err, ctx.Err()))
	case <-ctx.Done():
	}
	late := time.AfterFunc(s.cfg.StopGrace, server.Stop)
	defer late.Stop()
	server.GracefulStop()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		s.cfg.Logger.Warn("the listener failed while the service stopped", "address", s.cfg.Address, "error", err)
	}
	return ctx.Err()
}

// known reports whether the gateway is one of Config.Gateways.
func (s *Service) known(desc *grpc.ServiceDesc) bool {
	for _, m := range desc.Methods {
		return s.methods["/"+desc.ServiceName+"/"+m.MethodName] != nil
	}
	return false
}

func (s *Service) host(p place, h *hosted) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places[p] != nil {
		return nil, fmt.Errorf("host %s: another endpoint of this name has not left", p.endpoint)
	}
	s.places[p] = h
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.places[p] == h {
			delete(s.places, p)
		}
	}, nil
}

// find returns what is hosted at a place and admits the token.
func (s *Service) find(gateway string, to destination) (*hosted, error) {
	s.mu.RLock()
	h := s.places[place{gateway, to.endpoint}]
	s.mu.RUnlock()
	if h == nil {
		return nil, fmt.Errorf("%s with gateway %s: %w", to.endpoint, gateway, rpc.ErrNoEndpoint)
	}
	return h, h.endpoint.Admit(to.term)
}

// call calls a method of what is hosted. read fills the message that the handler makes.
func (s *Service) call(ctx context.Context, m *method, to destination, read func(any) error) (reply any, err error) {
	h, err := s.find(m.gateway, to)
	if err != nil {
		return nil, err
	}
	defer h.endpoint.Recover(&err)
	return m.handle(h.impl, ctx, read, nil)
}
