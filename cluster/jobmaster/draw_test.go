package jobmaster

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

func drawGraph(t *rapid.T) job.Graph {
	var g job.Graph
	for i := range rapid.IntRange(1, 5).Draw(t, "tasks") {
		spec := node(fmt.Sprint("t", i), rapid.IntRange(1, 3).Draw(t, "parallelism"))
		for need := range i {
			if rapid.Bool().Draw(t, "needs") {
				spec.Needs = append(spec.Needs, fmt.Sprint("t", need))
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "requires") == 0 {
			spec = requiring(spec, "gpu", "true")
		}
		g.Tasks = append(g.Tasks, retry(spec, rapid.IntRange(1, 3).Draw(t, "attempts"), time.Second))
	}
	return g
}

func newWorld(t *rapid.T) *world {
	w := &world{
		T: t, graph: drawGraph(t), now: time.Unix(1000, 0), outputs: map[jobstore.OutputID]jobstore.Output{},
		deployed: map[gateway.AttemptID]*peer{}, givenUp: map[gateway.AttemptID]bool{}, newest: map[int]mark{},
	}
	w.newPeer("a", nil)
	w.newPeer("b", map[string]string{"gpu": "true"})
	w.newPeer("c", map[string]string{"gpu": "false"})
	w.lead()
	return w
}
