package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// envAnnotation names the variable of a flag whose own name would give one that
// means something else.
const envAnnotation = "coordd_env"

// environment sets flags from COORDD_* variables.
type environment struct {
	lookup func(string) (string, bool)
	// used holds the variable of each flag that was set from one.
	used map[string]string
}

// variable returns the name of a flag's variable.
func variable(f *pflag.Flag) string {
	if names := f.Annotations[envAnnotation]; len(names) > 0 {
		return names[0]
	}
	return "COORDD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// apply sets the flags of a command that were not given.
func (e *environment) apply(cmd *cobra.Command) error {
	var first error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || first != nil {
			return
		}
		name := variable(f)
		value, ok := e.lookup(name)
		if !ok || value == "" {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			first = fmt.Errorf("%s %s: %s", name, value, wants(f))
			return
		}
		e.used[f.Name] = name
	})
	return first
}

// setVariable gives a flag another variable than the one of its name.
func setVariable(flags *pflag.FlagSet, flag, name string) {
	f := flags.Lookup(flag)
	f.Annotations = map[string][]string{envAnnotation: {name}}
	f.Usage += " (variable: " + name + ")"
}
