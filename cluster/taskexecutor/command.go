package taskexecutor

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/process"
	"github.com/coordd/coordd/job"
)

// command prepares the attempt's process. base is the folder for commands that name
// none, home the attempt's own. Its error is a reason for people.
func command(d gateway.Deployment, base, home string) (*exec.Cmd, error) {
	if len(d.Command) == 0 {
		return nil, errors.New("the task has no command; add `command: [PROGRAM, ARG...]` to it")
	}
	dir := d.Dir
	if base != "" && !filepath.IsAbs(dir) {
		dir = filepath.Join(base, dir)
	}
	if dir != "" {
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() {
			return nil, fmt.Errorf("working folder %q is not a folder on this worker; create it or correct the task's dir", dir)
		}
	}
	// Not exec.CommandContext: an attempt is ended by TERM and then KILL to its
	// whole group, which a context cannot say.
	cmd := exec.Command(d.Command[0], d.Command[1:]...) //nolint:noctx,gosec // running the job's command is the purpose
	if cmd.Err != nil {
		return nil, startReason(d.Command[0], cmd.Err)
	}
	cmd.Dir = dir
	cmd.Env = environ(d, home)
	cmd.SysProcAttr = process.Attributes()
	return cmd, nil
}

// environ is the worker's environment, the task's, and what identifies the
// attempt, which neither can override.
func environ(d gateway.Deployment, home string) []string {
	env := os.Environ()
	for _, name := range slices.Sorted(maps.Keys(d.Env)) {
		env = append(env, name+"="+d.Env[name])
	}
	return append(env,
		job.EnvJobID+"="+string(d.Attempt.Job),
		job.EnvTask+"="+d.Attempt.Task,
		job.EnvSubtask+"="+strconv.Itoa(d.Attempt.Subtask),
		job.EnvParallelism+"="+strconv.Itoa(max(d.Parallelism, 1)),
		job.EnvAttempt+"="+strconv.Itoa(d.Attempt.N),
		job.EnvEpoch+"="+d.Attempt.Epoch.String(),
		job.EnvWork+"="+filepath.Join(home, workName),
		job.EnvInputs+"="+filepath.Join(home, inputsName),
		job.EnvOutput+"="+filepath.Join(home, outputName),
	)
}

// startReason says in one line why a command did not start, and what to do.
func startReason(program string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("command %q not found in the worker's PATH (%s); install it there or give its full path",
			program, os.Getenv("PATH"))
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("command %q does not exist on this worker, or the interpreter that it names does not", program)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("command %q is not executable on this worker; check its permissions (chmod +x)", program)
	default:
		return fmt.Errorf("command %q did not start: %s", program, strings.ReplaceAll(err.Error(), "\n", " "))
	}
}
