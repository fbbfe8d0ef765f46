package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/cluster/gateway"
)

func (a *app) workerListCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the workers that the leader knows",
		Long: "Lists the workers that the leader knows. READY ones take work. DRAINING ones end when\n" +
			"they are empty. EXPECTED ones were known to the former leader, and have not come\n" +
			"back to this one yet.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client(client.Config{Patience: -1})
			if err != nil {
				return err
			}
			defer c.Close()
			workers, err := c.Workers(cmd.Context())
			if err != nil {
				return a.hint(err)
			}
			if r.output == "json" {
				return writeJSON(a.out, map[string]any{"workers": workers})
			}
			return writeTable(a.out, workerRows(workers))
		},
	}
	r.add(cmd.Flags())
	return cmd
}

func (a *app) workerDrainCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "drain ID",
		Short: "Have a worker take nothing new, and end when it is empty",
		Long: "Has a worker take nothing new, and end when what it runs has ended. The command does\n" +
			"not wait for that; 'coordd worker list' shows how far it is. There is no way back but\n" +
			"to start the worker again.",
		Args: oneArgument("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.patient(r)
			if err != nil {
				return err
			}
			defer c.Close()
			w, err := c.DrainWorker(cmd.Context(), args[0])
			if err != nil {
				return a.workerHint(err)
			}
			if r.output == "json" {
				return writeJSON(a.out, w)
			}
			_, err = fmt.Fprintf(a.out, "worker %s is %s\n", w.ID, w.State)
			return err
		},
	}
	r.add(cmd.Flags())
	return cmd
}

// workerRows returns a table of workers.
func workerRows(workers []gateway.WorkerStatus) [][]string {
	rows := [][]string{{"ID", "STATE", "SLOTS", "FREE", "LABELS", "ADDRESS", "HEARTBEAT", "RELEASE"}}
	for _, w := range workers {
		heartbeat := "-"
		if !w.LastHeartbeat.IsZero() {
			heartbeat = age(time.Since(w.LastHeartbeat)) + " ago"
		}
		rows = append(rows, []string{
			w.ID, string(w.State), strconv.Itoa(w.Slots), strconv.Itoa(w.FreeSlots),
			orDash(labelList(w.Labels)), w.Address, heartbeat, orDash(w.Release),
		})
	}
	return rows
}

// labelList shows labels as they are given: a=1,b=2.
func labelList(labels map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, name+"="+labels[name])
	}
	return strings.Join(list, ",")
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
