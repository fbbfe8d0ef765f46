package agent_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
)

// largeJob is a file of so many tasks and 90 KiB each: from nine tasks on, its graph does
// not fit into the backend, compressed.
func largeJob(t *testing.T, tasks int) []byte {
	t.Helper()
	source := rand.NewChaCha8([32]byte{1})
	g := job.Graph{Name: "large"}
	for i := range tasks {
		noise := make([]byte, 70<<10) // the kernel takes no variable above 128 KiB
		_, _ = source.Read(noise)
		g.Tasks = append(g.Tasks, job.Task{
			ID: fmt.Sprintf("task-%d", i), Command: []string{"true"},
			Env: map[string]string{"NOISE": base64.URLEncoding.EncodeToString(noise)},
		})
	}
	file, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// blobsIn counts the blobs in a folder.
func blobsIn(t *testing.T, folder string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func backend(t *testing.T) *embedded.Backend {
	t.Helper()
	b, err := embedded.New(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestALargeGraphIsRefusedWithoutAFolderOfBlobs(t *testing.T) {
	ctx := bounded(t)
	c, _, _ := start(t, agent.Config{Backend: backend(t).Participant("a"), ID: "a"})
	_, _, err := c.Submit(ctx, "large", largeJob(t, 9))
	var problem *client.Error
	if !errors.As(err, &problem) || problem.Status != 413 {
		t.Errorf("submit: %v, want 413", err)
	}
	jobs, err := c.Jobs(ctx)
	if err != nil || len(jobs) != 0 {
		t.Errorf("then there were %d jobs, %v; want none", len(jobs), err)
	}
}

func TestALargeGraphIsRecoveredFromItsBlob(t *testing.T) {
	ctx := bounded(t)
	folder, b := t.TempDir(), backend(t)
	c, _, stop := start(t, agent.Config{Backend: b.Participant("a"), ID: "a", BlobDir: folder})
	if _, _, err := c.Submit(ctx, "large", largeJob(t, 50)); err != nil {
		t.Fatal(err)
	}
	if n := blobsIn(t, folder); n != 1 {
		t.Errorf("%d files in the folder of blobs, want the graph's", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	c, _, _ = start(t, agent.Config{Backend: b.Participant("b"), ID: "b", BlobDir: folder, Slots: 1})
	snap, err := c.Wait(ctx, "large", nil)
	if err != nil || snap.Status != "FINISHED" {
		t.Fatalf("the job ended as %q, %v, want FINISHED", snap.Status, err)
	}
	for blobsIn(t, folder) > 0 && ctx.Err() == nil {
		if _, err := c.Jobs(ctx); err != nil { // a round trip, while it cleans up
			t.Fatal(err)
		}
	}
	if n := blobsIn(t, folder); n != 0 {
		t.Errorf("%d files are left in the folder of blobs, want none", n)
	}
}

func TestAFolderOfBlobsThatCannotBeUsedIsNamedAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"relative", filepath.Join(t.TempDir(), "absent"), file} {
		err := agent.Run(bounded(t), agent.Config{Dev: true, DataDir: t.TempDir(), BlobDir: folder, Listener: listener(t)})
		if err == nil || !strings.Contains(err.Error(), "--blob-dir") || !strings.Contains(err.Error(), folder) {
			t.Errorf("folder %s: %v, want an error that names the flag and the folder", folder, err)
		}
	}
}
