package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/coordd/coordd/web"
)

// release is set when a release is built: -ldflags "-X main.release=v1.2.3".
var release string

// version says what this binary is.
func version() web.Version {
	v := web.Version{Version: release, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if ok && v.Version == "" {
		v.Version = info.Main.Version
	}
	if v.Version == "" || v.Version == "(devel)" {
		v.Version = "devel"
	}
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	return v
}

func (a *app) versionCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say what this binary is",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			v := version()
			if r.output == "json" {
				return writeJSON(a.out, v)
			}
			text := "coordd " + v.Version
			if v.Commit != "" {
				text += " (" + v.Commit + ")"
			}
			_, err := fmt.Fprintln(a.out, text+" "+v.Go)
			return err
		},
	}
	cmd.Flags().StringVarP(&r.output, "output", "o", "table", "table or json")
	return cmd
}

// writeJSON writes v as the API does, in one line.
func writeJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// writeTable writes rows in columns.
func writeTable(out io.Writer, rows [][]string) error {
	const gap = 3
	w := tabwriter.NewWriter(out, 0, 0, gap, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// age shows a duration as a person would say it.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
