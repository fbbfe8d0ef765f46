package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/semaphore"

	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// Node tells what this node itself leads.
type Node interface {
	// Leading returns the term in which this node leads the component, with the
	// phase that the component has come to, and false when it does not lead.
	// changed is closed when the answer changes. It does not block.
	Leading(component string) (info leader.Info, leads bool, changed <-chan struct{})
}

// Follower follows the published leader of one component.
type Follower interface {
	// Latest returns what is known, and a channel that is closed when that
	// changes. It does not block.
	Latest() (o retrieval.State, changed <-chan struct{})
}

// Backend reports the connection to the backend; ha.Services does.
type Backend interface {
	// Health reports it without blocking.
	Health() ha.Health
}

// Config says what a Server serves.
type Config struct {
	// ID names this node. Required.
	ID string
	// Node and Backend are what this node knows of itself. Required.
	Node    Node
	Backend Backend
	// Gateways lead to the components that answer about jobs and workers. Required.
	Gateways Gateways
	// Contenders answers /v1/contenders. Required.
	Contenders Contenders
	// Followers holds a follower for each component that can be asked for.
	// leader.Dispatcher is required: it says why a request cannot be answered.
	Followers map[string]Follower
	// Metrics is served under /metrics; nil serves an empty page.
	Metrics prometheus.Gatherer
	// Version answers /v1/version.
	Version Version
	// AllowedHosts lists the names and addresses, without port, that a Host
	// header may hold besides loopback ones.
	AllowedHosts []string
	// AnyAddress also allows every IP address as Host. Set it when the listener
	// is bound to all interfaces. (DNS rebinding needs a name.)
	AnyAddress bool
	// MaxBody limits request bodies in bytes; zero means DefaultMaxBody.
	MaxBody int64
	// MaxSubmissions is how many submissions may be under way at once; those beyond it
	// are answered with 429. Zero means DefaultMaxSubmissions.
	MaxSubmissions int
	// MaxSubmissionBytes bounds the bodies of submissions under way, all together; those
	// beyond it are answered with 429. Zero means DefaultMaxSubmissionBytes.
	MaxSubmissionBytes int64
	// MaxLogs is how many outputs of subtasks are read or followed at once; requests
	// beyond it are answered with 429. Zero means DefaultMaxLogs.
	MaxLogs int
	// Timeout bounds each call of another component; zero means DefaultTimeout.
	Timeout time.Duration
	// Logger is nil for silence.
	Logger hclog.Logger
}

// The defaults of Config.
const (
	DefaultMaxBody            = job.MaxJSONSize
	DefaultTimeout            = 10 * time.Second
	DefaultMaxSubmissions     = 512
	DefaultMaxSubmissionBytes = 128 << 20
	DefaultMaxLogs            = 64
)

// Limits of the server that nobody needs to set.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	shutdownGrace     = 2 * time.Second
	// writeTimeout leaves room for the longest wait and for calls of components.
	writeTimeout = maxWait + 2*DefaultTimeout
)

// Server answers HTTP for one node. All methods may be called concurrently.
type Server struct {
	cfg     Config
	log     hclog.Logger
	hosts   map[string]bool
	handler http.Handler

	admission admission
	readers   *semaphore.Weighted
	metrics   *metricCache
}

// New returns a server that does nothing yet. Its error names the missing field.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.ID == "":
		return nil, errors.New("web: Config.ID is empty")
	case cfg.Node == nil, cfg.Backend == nil, cfg.Gateways == nil, cfg.Contenders == nil:
		return nil, errors.New("web: Config.Node, Backend, Gateways and Contenders are required")
	case cfg.Followers[leader.Dispatcher] == nil:
		return nil, fmt.Errorf("web: Config.Followers has none for %q", leader.Dispatcher)
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, log: cfg.Logger.Named("web"), hosts: allowed(cfg.AllowedHosts),
		admission: newAdmission(cfg.MaxSubmissions, cfg.MaxSubmissionBytes, cfg.MaxBody),
		readers:   semaphore.NewWeighted(int64(cfg.MaxLogs)),
		metrics:   newMetricCache(),
	}
	s.handler = s.protect(s.routes())
	return s, nil
}

// withDefaults fills the zero values in.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	c.MaxBody = orDefault(c.MaxBody, DefaultMaxBody)
	c.MaxSubmissions = orDefault(c.MaxSubmissions, DefaultMaxSubmissions)
	c.MaxSubmissionBytes = orDefault(c.MaxSubmissionBytes, DefaultMaxSubmissionBytes)
	c.MaxLogs = orDefault(c.MaxLogs, DefaultMaxLogs)
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	return c
}

// orDefault returns the value if it is positive.
func orDefault[T int | int64 | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// Handler returns the whole HTTP side, protection included.
func (s *Server) Handler() http.Handler { return s.handler }

// Run serves on the listener until ctx ends, gives requests a moment to end, and
// returns nil when everything it started has ended. It closes the listener. Any
// other error is the listener's. Run is called at most once.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      max(writeTimeout, maxWait+2*s.cfg.Timeout),
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		BaseContext:       func(net.Listener) context.Context { return stopping },
	}

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("web: serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	// Long polls end at once; what is being answered may end.
	stop()
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer done()
	if err := server.Shutdown(grace); err != nil {
		if err := server.Close(); err != nil {
			s.log.Debug("closing connections", "error", err)
		}
	}
	if err := <-served; err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web: serve on %s: %w", listener.Addr(), err)
	}
	return nil
}

// routes returns all routes without the protection.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	s.healthRoutes(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{}))

	config := huma.DefaultConfig("coordd", s.cfg.Version.Version)
	config.Info.Description = "Who leads, the jobs and the workers of a coordd cluster. Any node may be asked."
	config.OpenAPIPath = "/v1/openapi"
	// The documentation page would load a script from another site, and the
	// links to schemas would add a field to every answer.
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil
	config.Transformers = []huma.Transformer{asProblem}
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	api := humago.New(mux, config)
	s.leaderRoutes(api)
	s.contenderRoutes(api)
	s.jobRoutes(api)
	s.logRoutes(api)
	s.workerRoutes(api)
	s.metricRoutes(api)
	s.recoveryRoutes(api)
	s.versionRoutes(api)
	return mux
}
