package archtest

import (
	"slices"
	"strings"
)

// ban forbids a dependency. Packages and targets are written like the entries of
// the floors: a path below the module's root, or "x/*" for all below x, "*" for
// every package. Targets outside the module are full import paths; one covers
// all packages below it.
type ban struct {
	// packages that must not; except those that may.
	packages, except []string
	targets          []string
	// transitive bans count dependencies of dependencies. Others count the imports
	// of the package itself, tests included if tests is set.
	transitive, tests bool
	reason            string
}

// bans returns what must not be depended on, each with its reason.
func bans() []ban {
	const (
		zk     = "github.com/go-zookeeper/zk"
		grpc   = "google.golang.org/grpc"
		huma   = "github.com/danielgtaylor/huma"
		cobra  = "github.com/spf13/cobra"
		pflag  = "github.com/spf13/pflag"
		prom   = "github.com/prometheus"
		module = "./"
	)
	values := []string{"leader", "txn", "job", "internal/*"}
	embeddable := []string{"zookeeper", "election", "election/zk", "retrieval", "retrieval/zk"}
	components := []string{"coordinator", "cluster/jobmaster", "cluster/taskexecutor", "cluster/resourcemanager"}
	return []ban{
		{
			// The benchmarks measure against the bare client.
			packages: []string{"*"}, except: []string{"zookeeper", "zookeeper/zookeepertest", "bench/*"}, targets: []string{zk}, tests: true,
			reason: "its traps are known in one place: use package zookeeper",
		},
		{
			packages: slices.Concat(values, embeddable), transitive: true,
			targets: []string{"net/http", grpc, huma, cobra, pflag, prom},
			reason:  "embedding an election must stay small: no web, RPC or command-line package comes with it",
		},
		{
			packages:   []string{"election", "retrieval", "jobstore", "resultstore", "ha", "cluster/*", "coordinator", "web", "client", "ha/embedded"},
			transitive: true, targets: []string{module + "zookeeper", zk},
			reason: "a backend is one choice, made in package agent: portable parts know ha.Services only",
		},
		{
			packages: []string{"*"}, except: []string{"cmd/*"}, targets: []string{cobra, pflag},
			reason: "flags are the program's; packages take a Config",
		},
		{
			packages: []string{"*"}, except: []string{"web"}, targets: []string{huma},
			reason: "the HTTP framework is web's own matter",
		},
		{
			packages: components, targets: []string{
				module + "coordinator", module + "cluster/jobmaster",
				module + "cluster/taskexecutor", module + "cluster/resourcemanager",
			},
			reason: "components never import one another: they meet in cluster/gateway, so that each can move to another machine",
		},
		{
			packages: components, transitive: true, targets: []string{"net/http", huma, cobra, pflag},
			reason: "a component does not know how it is shown or configured",
		},
		{
			packages: []string{"*"}, targets: []string{"log", "log/slog"},
			reason: "logs go through the injected hclog.Logger",
		},
		{
			packages: []string{"*"}, except: []string{"support"}, targets: []string{"testing"},
			reason: "test helpers belong into _test.go files or a package named *test",
		},
	}
}

func dependenciesRule() Rule {
	return Rule{
		Name:   "dependencies",
		Remedy: "the list stands in internal/archtest/dependencies.go",
		Check: func(m *Module) []Finding {
			var found []Finding
			for _, p := range m.Packages {
				for _, b := range bans() {
					if !b.covers(p) {
						continue
					}
					if b.transitive {
						found = append(found, b.reached(m, p)...)
					} else {
						found = append(found, b.imported(m, p)...)
					}
				}
			}
			return found
		},
	}
}

func (b ban) covers(p *Package) bool {
	if slices.Contains(b.except, "support") && p.Support() {
		return false
	}
	return matches(b.packages, p.Path) && !matches(b.except, p.Path)
}

func matches(entries []string, pkg string) bool {
	return slices.ContainsFunc(entries, func(entry string) bool {
		below, all := strings.CutSuffix(entry, "*")
		return entry == pkg || all && strings.HasPrefix(pkg, below)
	})
}

// hits reports whether path is a target: the package itself, or one below a
// target outside the module that is not of the standard library.
func (b ban) hits(m *Module, path string) bool {
	return slices.ContainsFunc(b.targets, func(target string) bool {
		target = strings.Replace(target, "./", m.Path+"/", 1)
		outside := strings.Contains(target, ".") && !strings.HasPrefix(target, m.Path)
		return path == target || outside && strings.HasPrefix(path, target+"/")
	})
}

func (b ban) imported(m *Module, p *Package) []Finding {
	var found []Finding
	for _, f := range p.Files {
		if f.Test && !b.tests {
			continue
		}
		for _, spec := range f.Syntax.Imports {
			target := strings.Trim(spec.Path.Value, `"`)
			if target != m.Path+"/"+p.Path && b.hits(m, target) {
				found = append(found, f.at(spec.Pos(), "%s imports %s: %s", p.Path, target, b.reason))
			}
		}
	}
	return found
}

// reached finds the imports of p through which it depends on a target, and names
// the way.
func (b ban) reached(m *Module, p *Package) []Finding {
	var found []Finding
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		for _, spec := range f.Syntax.Imports {
			if way := b.way(m, strings.Trim(spec.Path.Value, `"`), make(map[string]bool)); way != nil {
				found = append(found, f.at(spec.Pos(), "%s depends on %s: %s", p.Path, strings.Join(way, " -> "), b.reason))
			}
		}
	}
	return found
}

// way returns a chain of imports from the package at path to a target, or nil.
func (b ban) way(m *Module, path string, seen map[string]bool) []string {
	if seen[path] {
		return nil
	}
	seen[path] = true
	if b.hits(m, path) {
		return []string{path}
	}
	for _, next := range m.Imports[path] {
		if rest := b.way(m, next, seen); rest != nil {
			return append([]string{path}, rest...)
		}
	}
	return nil
}
