package job_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/testdata"
)

// TestGoodFiles reads every file of testdata/jobs.
func TestGoodFiles(t *testing.T) {
	final := map[string][]string{
		"etl.yaml": {"load"}, "diamond.yaml": {"bottom"}, "failing.yaml": {"after"},
		"retry.yaml": {"flaky"}, "wide.yaml": {"one"},
	}
	files, err := fs.Glob(testdata.Jobs, "jobs/*")
	if err != nil || len(files) != len(final) {
		t.Fatalf("testdata/jobs has %v (%v), want the %d files known here", files, err, len(final))
	}
	for _, file := range files {
		data, err := testdata.Jobs.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g, err := job.Parse(path.Base(file), data)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, want := g.Final(), final[path.Base(file)]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: Final() = %v, want %v", file, got, want)
		}
		if want := strings.TrimSuffix(path.Base(file), ".yaml"); g.Name != want {
			t.Errorf("%s: the job's name is %q, want %q", file, g.Name, want)
		}
	}
}

// TestBadFiles reads every file of testdata/bad, which must be refused with the
// message in the .want file beside it.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("../testdata/bad/*")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		bad, isWant := strings.CutSuffix(file, ".want")
		if isWant {
			if _, err := os.Stat(bad); err != nil {
				t.Errorf("%s stands alone: %v", file, err)
			}
			continue
		}
		seen++
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(file + ".want")
		if err != nil {
			t.Errorf("%s needs a file with its message: %v", file, err)
			continue
		}
		_, err = job.Parse(filepath.Base(file), data)
		var invalid *job.InvalidError
		if !errors.As(err, &invalid) || err.Error()+"\n" != string(want) {
			t.Errorf("%s:\n got %v\nwant %s", file, err, want)
		}
	}
	if seen < 20 {
		t.Errorf("only %d bad files were read; where are the others?", seen)
	}
}

// TestETLComputesItsAnswer runs every subtask of the ETL, each twice, as after a
// leader that died before it could record the first run.
func TestETLComputesItsAnswer(t *testing.T) {
	data, err := testdata.Jobs.ReadFile("jobs/etl.yaml")
	if err != nil {
		t.Fatal(err)
	}
	g, err := job.Parse("etl.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := filepath.Join(dir, "raven.txt")
	if err := os.WriteFile(text, []byte(testdata.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	var output string
	for _, id := range g.Order() {
		spec, _ := g.Task(id)
		for i := range 2 * spec.Subtasks() {
			cmd := exec.CommandContext(t.Context(), spec.Command[0], spec.Command[1:]...)
			cmd.Env = append(os.Environ(), "PAUSE=0", "TEXT="+text, "WORK="+filepath.Join(dir, "work"),
				job.EnvJobID+"=etl-1", job.EnvTask+"="+id, job.EnvSubtask+"="+strconv.Itoa(i/2),
				job.EnvParallelism+"="+strconv.Itoa(spec.Subtasks()), job.EnvAttempt+"=1", job.EnvEpoch+"=7")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("subtask %d of %s: %v\n%s", i/2, id, err, out)
			}
			output = string(out)
		}
	}
	const want = `WORD         COUNT
chamber         11
nevermore       11
raven           11
lenore           8
above            7
`
	if output != want {
		t.Errorf("the answer is\n%swant\n%s", output, want)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "work", "*.*")); err != nil || len(left) > 0 {
		t.Errorf("unfinished files stay behind: %v (%v)", left, err)
	}
}
