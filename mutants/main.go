package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // a command begins here
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1) //nolint:forbidigo,gocritic // and ends here; stop has nothing to undo then
	}
}

// errSurvived: a fault that no test notices.
var errSurvived = errors.New("a mutant survived: write the test that notices its fault")

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("mutants", flag.ContinueOnError)
	match := fs.String("run", ".", "try the mutants whose names match this regular expression")
	parallel := fs.Int("parallel", runtime.NumCPU(), "how many to try at once")
	list := fs.Bool("list", false, "list them with their reasons and do nothing")
	verbose := fs.Bool("v", false, "show the output of the tests")
	if err := fs.Parse(args); err != nil {
		return err
	}
	expr, err := regexp.Compile(*match)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	all, err := mutants(expr)
	if err != nil {
		return err
	}
	if len(all) == 0 || *parallel < 1 {
		return fmt.Errorf("-run %q matches %d mutants, -parallel is %d: want at least one of each", *match, len(all), *parallel)
	}
	if *list {
		return printList(out, all)
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }() // of no use to anybody, and no harm
	began := time.Now()
	lab := laboratory{root: root, temp: temp}
	if err := lab.sane(ctx, all, *parallel); err != nil {
		return err
	}
	fmt.Fprintf(out, "the tests pass without a mutant (%.0f s)\n", time.Since(began).Seconds())
	verdicts, err := lab.tryAll(ctx, all, *parallel)
	if err != nil {
		return err
	}
	return report(out, verdicts, time.Since(began), *verbose)
}

func moduleRoot(ctx context.Context) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(mod))), nil
}

// sane runs all tests that are to fail on the code as it is.
func (l laboratory) sane(ctx context.Context, all []mutant, parallel int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, t := range byPackage(all) {
		group.Go(func() error {
			o, err := l.test(ctx, t, saneTimeout)
			if err == nil && o.failed != "" {
				err = fmt.Errorf("%s fails without any mutant:\n%s", t.pkg, o.text)
			}
			return err
		})
	}
	return group.Wait()
}

// byPackage returns the tests of all mutants, each once.
func byPackage(all []mutant) []tests {
	var merged []tests
	for _, m := range all {
		for _, t := range m.tests {
			at := slices.IndexFunc(merged, func(o tests) bool { return o.pkg == t.pkg })
			if at < 0 {
				at, merged = len(merged), append(merged, tests{pkg: t.pkg})
			}
			merged[at].names = append(merged[at].names, t.names...)
		}
	}
	for i := range merged {
		slices.Sort(merged[i].names)
		merged[i].names = slices.Compact(merged[i].names)
	}
	return merged
}

// tryAll returns the verdicts in the order of the mutants.
func (l laboratory) tryAll(ctx context.Context, all []mutant, parallel int) ([]verdict, error) {
	verdicts := make([]verdict, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, m := range all {
		group.Go(func() error {
			verdicts[i] = l.try(ctx, m)
			return context.Cause(ctx)
		})
	}
	return verdicts, group.Wait()
}

// report prints the table, and fails unless all were killed.
func report(out io.Writer, verdicts []verdict, took time.Duration, verbose bool) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var failed []error
	killed := 0
	for _, v := range verdicts {
		became, by := "killed", v.by
		switch {
		case v.killed():
			killed++
		case v.err != nil:
			became, by = "NOT TRIED", "see below"
			failed = append(failed, v.err)
		default:
			became, by = "SURVIVED", v.mutant.reason
			failed = append(failed, fmt.Errorf("%s: %w", v.mutant.name, errSurvived))
		}
		fmt.Fprintf(table, "%s\t%s\t%.1f s\t%s\n", v.mutant.name, became, v.took.Seconds(), by)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, v := range verdicts {
		if verbose {
			fmt.Fprintf(out, "\n==> %s: %s\n%s", v.mutant.name, v.mutant.reason, v.output)
		}
	}
	fmt.Fprintf(out, "%d of %d mutants killed in %.0f s\n", killed, len(verdicts), took.Seconds())
	return errors.Join(failed...)
}

func printList(out io.Writer, all []mutant) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, m := range all {
		fmt.Fprintf(table, "%s\t%s\n", m.name, m.reason)
	}
	return table.Flush()
}
