package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// ranWith runs a command that asks a cluster, for which the handler stands.
func ranWith(t *testing.T, cluster http.Handler, args ...string) (out, errOut string, code int) {
	t.Helper()
	node := httptest.NewServer(cluster)
	defer node.Close()
	var stdout, stderr strings.Builder
	nothing := func(string) (string, bool) { return "", false }
	code = run(t.Context(), append(args, "--address", node.URL), streams{in: strings.NewReader(""), out: &stdout, err: &stderr}, nothing)
	return stdout.String(), stderr.String(), code
}

// problem answers with a problem.
func problem(w http.ResponseWriter, status int, code, detail string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"status":%d,"code":%q,"detail":%q}`, status, code, detail)
}

func clusterOfTwoWorkers() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/workers", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"workers":[{"id":"w-1","rpc_address":"10.0.0.7:7431","state":"READY","labels":{"zone":"b","gpu":"true"},`+
			`"slots":4,"free_slots":1,"last_heartbeat":%q,"release":"v1"},`+
			`{"id":"w-2","rpc_address":"10.0.0.8:7431","state":"EXPECTED","slots":0,"free_slots":0}]}`,
			time.Now().Add(-time.Hour).Format(time.RFC3339))
	})
	mux.HandleFunc("POST /v1/workers/{id}/drain", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != "w-1" {
			problem(w, http.StatusNotFound, "no_such_worker", `no worker has the id "`+r.PathValue("id")+`"`)
			return
		}
		fmt.Fprint(w, `{"id":"w-1","rpc_address":"10.0.0.7:7431","state":"DRAINING","slots":4,"free_slots":1}`)
	})
	return mux
}

func TestWorkerCommands(t *testing.T) {
	minutes := regexp.MustCompile(`h[0-9]+m[0-9]+s `)
	for _, test := range []struct {
		args []string
		code int
		// want are lines that are printed, their columns joined by single spaces, and
		// minutes and seconds left out.
		want []string
	}{
		{[]string{"worker", "list"}, 0, []string{
			"ID STATE SLOTS FREE LABELS ADDRESS HEARTBEAT RELEASE",
			"w-1 READY 4 1 gpu=true,zone=b 10.0.0.7:7431 1h ago v1",
			"w-2 EXPECTED 0 0 - 10.0.0.8:7431 - -",
		}},
		{[]string{"worker", "drain", "w-1"}, 0, []string{"worker w-1 is DRAINING"}},
		{
			[]string{"worker", "drain", "w-1", "-o", "json"}, 0,
			[]string{`{"id":"w-1","rpc_address":"10.0.0.7:7431","state":"DRAINING","slots":4,"free_slots":1}`},
		},
		{[]string{"worker", "drain", "w-9"}, 1, []string{`coordd: no worker has the id "w-9"; see 'coordd worker list'`}},
	} {
		out, errOut, code := ranWith(t, clusterOfTwoWorkers(), test.args...)
		var got []string
		for line := range strings.Lines(out + errOut) {
			got = append(got, minutes.ReplaceAllString(strings.Join(strings.Fields(line), " "), "h "))
		}
		if code != test.code || strings.Join(got, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("coordd %s exits with %d and prints %q, want %d and %q", strings.Join(test.args, " "), code, got, test.code, test.want)
		}
	}
	out, _, code := ranWith(t, clusterOfTwoWorkers(), "worker", "list", "-o", "json")
	if code != 0 || !strings.HasPrefix(out, `{"workers":[{"id":"w-1",`) || !strings.HasSuffix(out, "}]}\n") {
		t.Errorf("worker list -o json exits with %d and prints %s", code, out)
	}
}

// clusterOfOneJob has a job of two tasks, whose second one has three subtasks. Those
// have an output when started says so.
func clusterOfOneJob(started func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != "etl" {
			problem(w, http.StatusNotFound, "no_such_job", `no job has the id "`+r.PathValue("id")+`"`)
			return
		}
		worker := ""
		if started() {
			worker = `"worker":"w-1",`
		}
		sub := func(i int) string { return fmt.Sprintf(`{"index":%d,%s"status":"RUNNING"}`, i, worker) }
		fmt.Fprintf(w, `{"id":"etl","status":"RUNNING","tasks":[{"id":"load","subtasks":[%s]},{"id":"extract","subtasks":[%s,%s,%s]}]}`,
			sub(0), sub(0), sub(1), sub(2))
	})
	mux.HandleFunc("GET /v1/jobs/etl/tasks/{task}/{subtask}/log", func(w http.ResponseWriter, r *http.Request) {
		if !started() {
			problem(w, http.StatusNotFound, "no_log", "has not been started")
			return
		}
		w.Header().Set("Coordd-Log-Offset", "0")
		fmt.Fprintf(w, "output of %s %s, %s\n", r.PathValue("task"), r.PathValue("subtask"), r.URL.RawQuery)
	})
	return mux
}

func TestJobLogs(t *testing.T) {
	for args, want := range map[string]string{
		"etl load":                  "output of load 0, follow=false&offset=0\n",
		"etl load/0 --tail 100":     "output of load 0, follow=false&offset=-100\n",
		"etl extract/2 -f":          "output of extract 2, follow=true&offset=0\n",
		"etl extract":               "coordd: task \"extract\" of job etl has 3 subtasks; name one: extract/0 to extract/2\n",
		"etl extract/3":             "coordd: task \"extract\" of job etl has no subtask 3; the last one is extract/2\n",
		"etl extract/x":             "coordd: subtask \"x\" of \"extract/x\" is not an index such as extract/0\n",
		"etl extract/-1":            "coordd: subtask \"-1\" of \"extract/-1\" is not an index such as extract/0\n",
		"etl extrct/0":              "coordd: job etl has no task \"extrct\"; did you mean extract?\n",
		"etl other":                 "coordd: job etl has no task \"other\"; see 'coordd job status etl'\n",
		"nope load":                 "coordd: no job has the id \"nope\"\n",
		"etl":                       "coordd: TASK is missing; see 'coordd job logs --help'\n",
		"etl load extra":            "coordd: unexpected argument \"extra\"; see 'coordd job logs --help'\n",
		"etl load --tail -1":        "coordd: --tail -1: is not a number of bytes\n",
		"etl load --tail much":      "coordd: --tail much: is not a whole number\n",
		"etl load --output json -f": "coordd: unknown flag --output; see 'coordd job logs --help'\n",
	} {
		out, errOut, code := ranWith(t, clusterOfOneJob(func() bool { return true }), append([]string{"job", "logs"}, strings.Fields(args)...)...)
		if out+errOut != want || (code != 0) != strings.HasPrefix(want, "coordd: ") {
			t.Errorf("coordd job logs %s exits with %d and prints %q, want %q", args, code, out+errOut, want)
		}
	}
}

func TestFollowedLogsWaitForTheStart(t *testing.T) {
	asked := 0
	started := func() bool { asked++; return asked > 2 }
	out, errOut, code := ranWith(t, clusterOfOneJob(started), "job", "logs", "etl", "load", "-f")
	if code != 0 || out != "output of load 0, follow=true&offset=0\n" {
		t.Errorf("exits with %d and prints %q, want the output after the start", code, out+errOut)
	}
	never := func() bool { return false }
	_, errOut, code = ranWith(t, clusterOfOneJob(never), "job", "logs", "etl", "load")
	if code != 1 || errOut != "coordd: has not been started\n" {
		t.Errorf("without -f it exits with %d and prints %q, want that it has not been started", code, errOut)
	}
}

func TestAWorkerThatCannotStartSaysWhatToGive(t *testing.T) {
	for args, want := range map[string]string{
		"":                                      "coordd: --zookeeper: is missing; give HOST:PORT,... of the cluster's ensemble\n",
		"--zookeeper 127.0.0.1:1 --slots 0":     "coordd: --slots 0: is too few; a worker needs at least 1\n",
		"--zookeeper 127.0.0.1:1 --label gpu":   "coordd: --label gpu: is not name=value\n",
		"lst":                                   "coordd: unknown command \"lst\"; did you mean 'coordd worker list'?\n",
		"--zookeeper 127.0.0.1:1 --grace -1s":   "coordd: --grace -1s: cannot be negative; 0 means the default\n",
		"--zookeeper 127.0.0.1:1 --rpc 1.2.3.4": "coordd: --rpc 1.2.3.4: is not HOST:PORT, such as 127.0.0.1:7420\n",
		"--zookeeper 127.0.0.1:1 --drain-timeout -1s": "coordd: --drain-timeout -1s: cannot be negative; 0 waits as long as it takes\n",
	} {
		var out strings.Builder
		nothing := func(string) (string, bool) { return "", false }
		code := run(t.Context(), append([]string{"worker"}, strings.Fields(args)...), streams{in: strings.NewReader(""), out: &out, err: &out}, nothing)
		if out.String() != want || code != codeError {
			t.Errorf("coordd worker %s exits with %d and prints %q, want %q", args, code, out.String(), want)
		}
	}
}
