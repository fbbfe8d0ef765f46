package job_test

import (
	"fmt"

	"github.com/coordd/coordd/job"
)

func ExampleParse() {
	graph, err := job.Parse("etl.yaml", []byte(`
name: etl
tasks:
  - id: extract
    parallelism: 3
    command: [sh, -c, "echo part $COORDD_SUBTASK"]
  - id: load
    needs: [extract]
    command: [./load.sh]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(graph.Name, "runs", graph.Order(), "and answers with", graph.Final())

	_, err = job.Parse("bad.yaml", []byte(`
name: bad
tasks:
  - id: load
    comand: [./load.sh]
`))
	fmt.Println(err)
	// Output:
	// etl runs [extract load] and answers with [load]
	// bad.yaml: line 5: tasks[0].comand: unknown field; did you mean "command"?
}
