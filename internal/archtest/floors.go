package archtest

import (
	"path"
	"slices"
	"strings"
)

// floors returns the packages by floor, lowest first. An entry "x/*" stands for
// every package below x. A package that is missing here fails the test.
func floors() [][]string {
	return [][]string{
		// Values that everything speaks in, and leaves.
		{"leader", "txn", "job", "testdata", "internal/*"},
		// Portable parts over a driver interface each; the ZooKeeper client; the wire.
		{"zookeeper", "rpc", "blob", "format", "txn/batch", "election", "retrieval", "jobstore", "resultstore"},
		// What embedders use alone, and where the components meet.
		{"election/zk", "retrieval/zk", "ha", "cluster/gateway", "cluster/gateway/gatewaypb", "rpc/remote"},
		// Backends as a whole, the components, what carries their gateways, and what all
		// benchmarks share.
		{
			"ha/zk", "ha/embedded", "coordinator", "web", "client", "cluster/wire",
			"cluster/jobmaster", "cluster/taskexecutor", "cluster/resourcemanager", "bench/internal/rig",
		},
		// What wires everything; what benchmarks of whole clusters share.
		{"agent", "agent/command", "agent/minicluster", "bench/internal/*"},
		// Programs.
		{"cmd/coordd", "bench/*", "e2e", "e2e/*", "mutants"},
	}
}

// beside returns the imports that are allowed within a floor.
func beside() map[string]string {
	return map[string]string{
		// A minicluster is several agents in one process.
		"agent/minicluster": "agent",
		// So is a fleet, with workers.
		"bench/internal/fleet": "agent",
	}
}

func floorsRule() Rule {
	return Rule{
		Name: "floors",
		Remedy: "import from a lower floor only: declare the interface where it is called, or meet in cluster/gateway; " +
			"the table stands in internal/archtest/floors.go",
		Check: checkFloors,
	}
}

func checkFloors(m *Module) []Finding {
	var found []Finding
	for _, p := range m.Packages {
		from, ok := floorOf(p.Path)
		if !ok {
			found = append(found, p.Files[0].at(p.Files[0].Syntax.Name.Pos(),
				"package %s stands on no floor; add it to the table in internal/archtest/floors.go", p.Path))
			continue
		}
		for _, f := range p.Files {
			if f.Test {
				continue
			}
			for _, spec := range f.Syntax.Imports {
				target, inside := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), m.Path+"/")
				to, known := floorOf(target)
				if inside && known && to >= from && !sideways(p, target) {
					found = append(found, f.at(spec.Pos(), "%s (floor %d) imports %s (floor %d)", p.Path, from, target, to))
				}
			}
		}
	}
	return found
}

// floorOf returns a package's floor. A support package stands on the floor of
// the package that it belongs to.
func floorOf(pkg string) (int, bool) {
	for i, floor := range floors() {
		if slices.ContainsFunc(floor, func(entry string) bool {
			below, all := strings.CutSuffix(entry, "/*")
			return entry == pkg || all && strings.HasPrefix(pkg, below+"/")
		}) {
			return i, true
		}
	}
	if (&Package{Path: pkg}).Support() && strings.Contains(pkg, "/") {
		return floorOf(path.Dir(pkg))
	}
	return 0, false
}

// sideways reports whether p may import target on its own floor: a support
// package imports what it tests and other support packages.
func sideways(p *Package, target string) bool {
	if p.Support() {
		return target == path.Dir(p.Path) || (&Package{Path: target}).Support()
	}
	return beside()[p.Path] == target
}

func supportRule() Rule {
	return Rule{
		Name:   "support",
		Remedy: "packages named *test exist for tests: import them from _test.go files, benchmarks and one another only",
		Check: func(m *Module) []Finding {
			return each(m, func(p *Package, f *File) []Finding {
				var found []Finding
				if f.Test || p.Support() || matches([]string{"bench/*", "e2e/*"}, p.Path) {
					return nil
				}
				for _, spec := range f.Syntax.Imports {
					target, inside := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), m.Path+"/")
					if inside && (&Package{Path: target}).Support() {
						found = append(found, f.at(spec.Pos(), "%s imports the support package %s", p.Path, target))
					}
				}
				return found
			})
		},
	}
}
