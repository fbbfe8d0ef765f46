package main

import (
	"fmt"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/job"
)

func (a *app) agentCommand() *cobra.Command {
	cfg := agent.Config{}
	var ensemble ensembleFlags
	var logs logFlags
	var rpc rpcTLSFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run one member of a cluster",
		Long: "Runs one member of a cluster until it is told to stop. The first INT or TERM\n" +
			"resigns leadership, if the agent has it, and stops; the second one stops at once.\n\n" +
			"Several agents with the same --zookeeper and --cluster-id are one cluster.\n" +
			"With --dev the agent is a cluster of its own, without ZooKeeper. It keeps its jobs\n" +
			"and results in --data-dir, where the next one goes on with them, however this one\n" +
			"ended; by default in $XDG_STATE_HOME/coordd/CLUSTER-ID, which is mostly\n" +
			"~/.local/state/coordd/default. With --data-dir '' they are in memory.",
		Example: "  coordd agent --dev\n" +
			"  coordd agent --zookeeper 127.0.0.1:2181 --id node-1 --slots 4",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := logs.logger(a.err)
			if err != nil {
				return err
			}
			if err := validRetention(cfg.Retention); err != nil {
				return err
			}
			if cfg.Dev && !cmd.Flags().Changed("data-dir") {
				if cfg.DataDir, err = stateFolder(a.env.lookup, cfg.ClusterID); err != nil {
					return err
				}
			}
			if cfg.RPCTLS, err = rpc.files(); err != nil {
				return err
			}
			cfg.Logger, cfg.Version, cfg.ZooKeeper = logger, version(), ensemble.servers
			if len(cfg.ZooKeeper) > 0 { // else there is nobody to prove anything to
				if cfg.Security, err = ensemble.security(a.err); err != nil {
					return err
				}
			}
			return agent.Run(cmd.Context(), cfg)
		},
	}
	ensemble.add(cmd.Flags())
	agentFlags(cmd.Flags(), &cfg)
	cmd.Flags().StringToStringVar(&cfg.Labels, "label", nil, "`name=value` that tasks can require of the built-in worker; may be repeated")
	rpc.add(cmd.Flags())
	logs.add(cmd.Flags())
	return cmd
}

func agentFlags(f *pflag.FlagSet, cfg *agent.Config) {
	f.StringVar(&cfg.ID, "id", "", "name of this agent, unique in the cluster (default host name and HTTP port)")
	f.BoolVar(&cfg.Dev, "dev", false, "be a cluster of one, without ZooKeeper and with a worker")
	f.StringVar(&cfg.ClusterID, "cluster-id", agent.DefaultClusterID, "the cluster below --root")
	f.StringVar(&cfg.Root, "root", agent.DefaultRoot, "`path` in ZooKeeper below which clusters live")
	f.StringVar(&cfg.HTTP, "http", agent.DefaultHTTP, "`address` of the API, port 0 for any")
	f.StringVar(&cfg.RPC, "rpc", agent.DefaultRPC, "`address` on which workers and other agents are listened to, port 0 for any")
	f.StringVar(&cfg.Advertise, "advertise", "", "`host` under which others reach this agent (default the host of --http)")
	f.BoolVar(&cfg.InsecureBind, "insecure-bind", false, "allow --http and --rpc on other than loopback addresses: whoever reaches them can run programs")
	f.StringSliceVar(&cfg.AllowedHosts, "allow-host", nil, "further `names` that a Host header may hold")
	f.StringVar(&cfg.DataDir, "data-dir", "", "`folder` of this agent alone (with --dev by default below the state folder of the user)")
	f.StringVar(&cfg.BlobDir, "blob-dir", "", "`folder` that all coordinators share, for job graphs above 512 KiB (default none: they are refused)")
	f.IntVar(&cfg.Slots, "slots", 0, fmt.Sprintf("subtasks that the built-in worker runs at once, 0 for no worker (with --dev %d)", agent.DevSlots))
	f.IntVar(&cfg.Limits.Jobs, "max-jobs", coordinator.DefaultMaxJobs, "`jobs` that have not ended or are being cleaned up after; submissions beyond it are told to come again")
	f.IntVar(&cfg.Limits.GraphSize, "max-graph-size", coordinator.DefaultMaxGraphSize, "largest job, as JSON, in `bytes`")
	f.IntVar(&cfg.Limits.Tasks, "max-tasks", job.MaxTasks, "most `tasks` of a job")
	f.IntVar(&cfg.Retention.Count, "retain-results", coordinator.DefaultRetainCount, "results of finished jobs that are kept, -1 for no limit; a kept job's ID is not run again")
	f.DurationVar(&cfg.Retention.Age, "retain-results-for", coordinator.DefaultRetainAge, "how long the result of a finished job is kept, -1s for no limit")
	f.DurationVar(&cfg.CleanupRetry.First, "cleanup-retry", coordinator.DefaultCleanupRetry, "`delay` after the first failed clean-up of a job; it doubles up to --cleanup-retry-max")
	f.DurationVar(&cfg.CleanupRetry.Max, "cleanup-retry-max", coordinator.DefaultCleanupRetryMax, "longest `delay` between two tries to clean up")
	f.DurationVar(&cfg.SessionTimeout, "session-timeout", agent.DefaultSessionTimeout, "how long the cluster waits for a silent leader")
}

// stateFolder returns the folder in which a user expects a development agent to keep
// its state: that of the XDG base directories.
func stateFolder(lookup func(string) (string, bool), cluster string) (string, error) {
	base, _ := lookup("XDG_STATE_HOME")
	if !filepath.IsAbs(base) { // the specification has others ignored
		home, ok := lookup("HOME")
		if !ok || !filepath.IsAbs(home) {
			return "", &agent.InvalidError{
				Flag:    "data-dir",
				Problem: "is missing, and without $HOME there is no place for it; name a folder, or '' to keep everything in memory",
			}
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "coordd", cluster), nil
}

// validRetention refuses what a user cannot mean: for the agent zero is the
// default.
func validRetention(r coordinator.Retention) error {
	switch {
	case r.Count == 0:
		return &agent.InvalidError{Flag: "retain-results", Value: "0", Problem: "a job without a result could not be waited for; keep 1 or more, or -1 for no limit"}
	case r.Age == 0:
		return &agent.InvalidError{Flag: "retain-results-for", Value: "0s", Problem: "a job without a result could not be waited for; use a longer time, or -1s for no limit"}
	}
	return nil
}

// logFlags are the flags of commands that log.
type logFlags struct {
	level string
	json  bool
}

func (l *logFlags) add(f *pflag.FlagSet) {
	f.StringVar(&l.level, "log-level", "info", "trace, debug, info, warn, error or off")
	f.BoolVar(&l.json, "log-json", false, "log lines of JSON")
}

func (l *logFlags) logger(out interface{ Write([]byte) (int, error) }) (hclog.Logger, error) {
	level := hclog.LevelFromString(l.level)
	if level == hclog.NoLevel {
		return nil, &agent.InvalidError{
			Flag: "log-level", Value: l.level, Problem: "is not trace, debug, info, warn, error or off",
		}
	}
	return hclog.New(&hclog.LoggerOptions{Name: "coordd", Level: level, Output: out, JSONFormat: l.json}), nil
}
