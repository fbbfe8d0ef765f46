package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coordd/coordd/agent"
	rpcremote "github.com/coordd/coordd/rpc/remote"
)

// workerOptions are the flags of 'coordd worker'.
type workerOptions struct {
	cfg          agent.WorkerConfig
	ensemble     ensembleFlags
	rpc          rpcTLSFlags
	drainTimeout time.Duration
	logs         logFlags
}

// workerLong is the help of 'coordd worker'.
const workerLong = "Runs a worker of a cluster until it is told to stop: it runs tasks of jobs and never\n" +
	"leads. What runs goes on while coordinators come and go.\n\n" +
	"The first INT or TERM drains: nothing new is taken, and the worker ends when what runs\n" +
	"has ended and was reported, or after --drain-timeout. The second one ends what runs:\n" +
	"TERM to each command's process group, KILL after 5 s."

// flags adds the flags.
func (o *workerOptions) flags(f *pflag.FlagSet) {
	cfg := &o.cfg
	o.ensemble.add(f)
	f.StringVar(&cfg.ID, "id", "", "name of this worker, unique in the cluster (default host name and RPC port)")
	f.StringVar(&cfg.ClusterID, "cluster-id", agent.DefaultClusterID, "the cluster below --root")
	f.StringVar(&cfg.Root, "root", agent.DefaultRoot, "`path` in ZooKeeper below which clusters live")
	f.IntVar(&cfg.Slots, "slots", 1, "subtasks that run at once")
	f.StringToStringVar(&cfg.Labels, "label", nil, "`name=value` that tasks can require of a worker; may be repeated")
	f.StringVar(&cfg.RPC, "rpc", agent.DefaultWorkerRPC, "`address` on which coordinators are listened to, port 0 for any")
	f.StringVar(&cfg.Advertise, "advertise", "", "`host` under which coordinators reach this worker (default the host of --rpc)")
	f.BoolVar(&cfg.InsecureBind, "insecure-bind", false, "allow --rpc on other than loopback addresses: whoever reaches it can run programs")
	o.rpc.add(f)
	f.StringVar(&cfg.DataDir, "data-dir", "", "`folder` of this worker alone, for output and folders of attempts (default a temporary one)")
	f.DurationVar(&cfg.SessionTimeout, "session-timeout", agent.DefaultSessionTimeout, "after how long without a word coordinators are gone; the cluster's")
	f.DurationVar(&cfg.Grace, "grace", time.Minute, "how long tasks go on while no coordinator leads their job")
	f.DurationVar(&cfg.UnregisteredLimit, "unregistered-limit", 5*time.Minute, "after how long without any coordinator to give up")
	f.DurationVar(&o.drainTimeout, "drain-timeout", 0, "how long the first signal waits for what runs, 0 for as long as it takes")
	o.logs.add(f)
}

// runWorker runs a worker.
func (a *app) runWorker(cmd *cobra.Command, o *workerOptions) error {
	cfg := o.cfg
	var err error
	if cfg.Logger, err = o.logs.logger(a.err); err != nil {
		return err
	}
	if cfg.RPCTLS, err = o.rpc.files(); err != nil {
		return err
	}
	if o.drainTimeout < 0 {
		return &agent.InvalidError{Flag: "drain-timeout", Value: o.drainTimeout.String(), Problem: "cannot be negative; 0 waits as long as it takes"}
	}
	cfg.ZooKeeper, cfg.Version = o.ensemble.servers, version()
	if len(cfg.ZooKeeper) > 0 {
		if cfg.Security, err = o.ensemble.security(a.err); err != nil {
			return err
		}
	}
	w, err := agent.NewWorker(cfg)
	if err != nil {
		return err
	}
	ctx, stop := a.drainOnSignal(cmd.Context(), w, o.drainTimeout)
	defer stop()
	return w.Run(ctx)
}

// drainOnSignal has the first signal drain the worker; the second one, or the time-out,
// ends the returned context. The caller calls stop.
func (a *app) drainOnSignal(parent context.Context, w *agent.Worker, timeout time.Duration) (working context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		fmt.Fprintln(a.err, "coordd: draining; what runs is waited for, a second signal ends it")
		w.Retire()
		var late <-chan time.Time
		if timeout > 0 {
			timer := time.NewTimer(timeout)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-signals:
		case <-late:
		case <-ctx.Done():
		}
		cancel()
	}()
	return ctx, func() {
		cancel()
		<-done
		signal.Stop(signals)
	}
}

// rpcTLSFlags say how members of a cluster prove to one another who they are.
type rpcTLSFlags struct{ tls rpcremote.TLS }

func (r *rpcTLSFlags) add(f *pflag.FlagSet) {
	f.StringVar(&r.tls.Cert, "rpc-tls-cert", "", "speak TLS between members of the cluster, with the certificate in this `file`; all have it or none")
	f.StringVar(&r.tls.Key, "rpc-tls-key", "", "`file` with the key of --rpc-tls-cert")
	f.StringVar(&r.tls.CA, "rpc-tls-ca", "", "`file` with the certificates that members' must be signed by (default the system's)")
	f.BoolVar(&r.tls.Mutual, "rpc-tls-mutual", false, "have who calls show a certificate signed by --rpc-tls-ca, too")
	f.StringVar(&r.tls.ServerName, "rpc-tls-server-name", "", "`name` that members' certificates must be for (default the host of each address)")
}

// files returns what the flags name, nil without any. The files are read once, so that a
// mistake is told at the start.
func (r *rpcTLSFlags) files() (*rpcremote.TLS, error) {
	if r.tls == (rpcremote.TLS{}) {
		return nil, nil //nolint:nilnil // no TLS
	}
	err := r.tls.Validate()
	if err == nil && r.tls.Cert == "" {
		return nil, &agent.InvalidError{Flag: "rpc-tls-cert", Problem: "is missing; who speaks TLS is also listened to, and needs a certificate and its key"}
	}
	if err == nil {
		err = r.tls.Check()
	}
	if err != nil {
		return nil, &agent.InvalidError{Flag: "rpc-tls-cert", Value: r.tls.Cert, Problem: err.Error()}
	}
	return &r.tls, nil
}

// workerCommand runs a worker, and holds the commands about workers.
func (a *app) workerCommand() *cobra.Command {
	var o workerOptions
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run a worker of a cluster; see and drain workers",
		Long:  workerLong,
		Example: "  coordd worker --zookeeper 127.0.0.1:2181 --id worker-1 --slots 4\n" +
			"  coordd worker --zookeeper zk1:2181,zk2:2181 --id gpu-1 --slots 1 --label gpu=true",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return a.runWorker(cmd, &o)
		},
	}
	o.flags(cmd.Flags())
	cmd.AddCommand(a.workerListCommand(), a.workerDrainCommand())
	return cmd
}
