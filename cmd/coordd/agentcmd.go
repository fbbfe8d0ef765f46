package main

import (
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coordd/coordd/agent"
)

func (a *app) agentCommand() *cobra.Command {
	cfg := agent.Config{}
	var logs logFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run one member of a cluster",
		Long: "Runs one member of a cluster until it is told to stop. The first INT or TERM\n" +
			"resigns leadership, if the agent has it, and stops; the second one stops at once.\n\n" +
			"Several agents with the same --zookeeper and --cluster-id are one cluster.\n" +
			"With --dev the agent is a cluster of its own, without ZooKeeper: its jobs and\n" +
			"results are in memory and end with it.",
		Example: "  coordd agent --dev\n" +
			"  coordd agent --zookeeper 127.0.0.1:2181 --id node-1 --slots 4",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := logs.logger(a.err)
			if err != nil {
				return err
			}
			cfg.Logger, cfg.Version = logger, version()
			return agent.Run(cmd.Context(), cfg)
		},
	}
	agentFlags(cmd.Flags(), &cfg)
	logs.add(cmd.Flags())
	return cmd
}

func agentFlags(f *pflag.FlagSet, cfg *agent.Config) {
	f.StringVar(&cfg.ID, "id", "", "name of this agent, unique in the cluster (default host name and HTTP port)")
	f.BoolVar(&cfg.Dev, "dev", false, "be a cluster of one, without ZooKeeper and with a worker; state is in memory")
	f.StringSliceVar(&cfg.ZooKeeper, "zookeeper", nil, "members of the ensemble, `HOST:PORT,...`")
	f.StringVar(&cfg.ClusterID, "cluster-id", agent.DefaultClusterID, "the cluster below --root")
	f.StringVar(&cfg.Root, "root", agent.DefaultRoot, "`path` in ZooKeeper below which clusters live")
	f.StringVar(&cfg.HTTP, "http", agent.DefaultHTTP, "`address` of the API, port 0 for any")
	f.StringVar(&cfg.RPC, "rpc", agent.DefaultRPC, "`address` that is published for RPC; nothing listens there yet")
	f.StringVar(&cfg.Advertise, "advertise", "", "`host` under which others reach this agent (default the host of --http)")
	f.BoolVar(&cfg.InsecureBind, "insecure-bind", false, "allow --http and --rpc on other than loopback addresses: whoever reaches them can run programs")
	f.StringSliceVar(&cfg.AllowedHosts, "allow-host", nil, "further `names` that a Host header may hold")
	f.StringVar(&cfg.DataDir, "data-dir", "", "`folder` of this agent alone")
	f.IntVar(&cfg.Slots, "slots", 0, fmt.Sprintf("subtasks that the built-in worker runs at once, 0 for no worker (with --dev %d)", agent.DevSlots))
	f.DurationVar(&cfg.SessionTimeout, "session-timeout", agent.DefaultSessionTimeout, "how long the cluster waits for a silent leader")
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
