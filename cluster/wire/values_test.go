package wire

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// The values of the tests have something in each field, see TestValuesHaveSomethingInEachField.

func aTerm() leader.TermID {
	return leader.TermID{SessionID: "3f2c8a52-5f0e-4c53-9d1e-0d3a5a3c9a11", Epoch: 4294967321}
}

func aWorker() gateway.Worker {
	return gateway.Worker{ID: "w1", Instance: "b52c", Address: "127.0.0.1:7431"}
}

func aPeer() gateway.Peer { return gateway.Peer{Term: aTerm(), Job: "etl-1"} }

func anAttempt() gateway.AttemptID {
	return gateway.AttemptID{Job: "etl-1", Task: "extract", Subtask: 2, Epoch: 4294967321, N: 3}
}

func anEnd() gateway.AttemptEnd {
	code := 7
	return gateway.AttemptEnd{
		Attempt: anAttempt(), Outcome: gateway.OutcomeFailed, ExitCode: &code,
		Output: "not \xff UTF-8\n", Reason: "exit code 7", Result: []byte("result\xff"),
	}
}

func slots() []gateway.Slot { return []gateway.Slot{"b52c-1", "b52c-2"} }

func labels() map[string]string { return map[string]string{"gpu": "true"} }

func aDeployment() gateway.Deployment {
	return gateway.Deployment{
		Attempt: anAttempt(), Slot: "b52c-1", Parallelism: 3, Command: []string{"sh", "-c", "true"}, Func: "load",
		Env: map[string]string{"REGION": "eu"}, Dir: "/tmp", Timeout: 10 * time.Minute,
		Inputs: []gateway.Input{{Task: "list", Subtask: 1, Data: []byte("input\xff")}},
	}
}

func aReport() gateway.WorkerReport {
	return gateway.WorkerReport{Slots: 4, Allocated: []gateway.Allocation{{Slot: "b52c-1", Job: "etl-1"}}, Draining: true}
}

func aJobReport() gateway.JobReport {
	return gateway.JobReport{
		Labels: labels(), Slots: slots(), Running: []gateway.RunningAttempt{{Attempt: anAttempt(), Slot: "b52c-2"}},
		Ended: []gateway.AttemptEnd{anEnd()}, Age: 12 * time.Second,
	}
}

func aNeed() gateway.Need { return gateway.Need{Requires: labels(), Count: 5} }

func metrics() []gateway.Metric {
	return []gateway.Metric{{Name: "coordd_worker_slots", Labels: labels(), Value: 4.5}}
}

func since() time.Time { return time.Date(2026, 11, 21, 5, 0, 0, 123456789, time.UTC) }

func aGraph() job.Graph {
	return job.Graph{Name: "etl", Tasks: []job.Task{{
		ID: "extract", Needs: []string{"list"}, Parallelism: 3, Command: []string{"sh", "-c", "a <b >c & d"}, Func: "load", Requires: labels(),
		Env: map[string]string{"REGION": "eu"}, Dir: "/tmp", Timeout: job.Duration(time.Minute),
		Retry: job.Retry{Attempts: 3, Delay: job.Duration(time.Second)},
	}}}
}

func aSnapshot() job.Snapshot {
	code := 7
	return job.Snapshot{
		ID: "etl-1", Name: "etl", Status: job.StatusFailed, Error: "a task failed",
		SubmittedAt: since(), StartedAt: since(), FinishedAt: since(), Epoch: 4294967321,
		Tasks: []job.TaskSnapshot{{ID: "extract", Subtasks: []job.SubtaskSnapshot{{
			Index: 1, Status: job.SubtaskFailed, Attempt: 2, Epoch: 4294967321, Worker: "w1", ExitCode: &code,
			Output: "out", Result: "42", ResultBase64: []byte{0xff}, Error: "exit code 7",
		}}}},
	}
}

func aRecoveryReport() gateway.RecoveryReport {
	return gateway.RecoveryReport{
		Epoch: 4294967321,
		Dirty: []gateway.DirtyJob{{
			ID: "etl-1", Status: job.StatusFailed, FinishedAt: since(),
			Resources: []gateway.Resource{{Name: "workers", Failures: 2, Error: "no answer", NextTry: since()}},
		}},
		Quarantine: []gateway.QuarantinedJob{{ID: "etl-2", Reason: "checksum", Since: since(), SinceEpoch: 4294967320}},
	}
}

func aStatus() gateway.WorkerStatus {
	return gateway.WorkerStatus{
		ID: "w1", Instance: "b52c", Address: "127.0.0.1:7431", State: gateway.WorkerReady, Labels: labels(),
		Slots: 4, FreeSlots: 3, Since: since(), LastHeartbeat: since(), Release: "v1.2.3",
	}
}

func anInvalid() *job.InvalidError {
	return &job.InvalidError{
		Source: "etl.yaml", Problems: []job.Problem{{Line: 4, Column: 2, Field: "tasks[1].command", Message: "is missing"}}, Omitted: 1,
	}
}

// TestValuesHaveSomethingInEachField makes the tests that send values notice a field
// which is added to the contract and not carried.
func TestValuesHaveSomethingInEachField(t *testing.T) {
	for _, value := range []any{
		aPeer(), aWorker(), anEnd(), aDeployment(), aReport(), aJobReport(), aNeed(), metrics(), aGraph(), aSnapshot(),
		aRecoveryReport(), aStatus(), anInvalid(), aChunk(), aLogRequest(), aJobReply(), aLeftover(),
		aWorkerRegistration(), aMasterRegistration(), aWorkerReply(), aSlotRequest(),
	} {
		if path := empty(reflect.ValueOf(value)); path != "" {
			t.Errorf("%T%s is zero", value, path)
		}
	}
}

// empty returns the path of a zero field, "" if there is none.
func empty(v reflect.Value) string {
	if v.IsZero() {
		return " "
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		return ""
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if path := empty(v.Field(i)); path != "" {
				return "." + v.Type().Field(i).Name + path
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if path := empty(v.Index(i)); path != "" {
				return fmt.Sprintf("[%d]%s", i, path)
			}
		}
	case reflect.Pointer:
		return empty(v.Elem())
	}
	return ""
}

func aChunk() gateway.LogChunk {
	return gateway.LogChunk{Attempt: anAttempt(), Offset: 1 << 40, Data: []byte("line\xff\n"), Ended: true}
}

func aLogRequest() gateway.LogRequest {
	return gateway.LogRequest{Job: "etl-1", Task: "extract", Subtask: 2, Offset: -100, Limit: 1000, Wait: time.Second}
}

func aJobReply() gateway.JobReply {
	return gateway.JobReply{
		Unwanted: []gateway.AttemptID{anAttempt()}, Settled: []gateway.AttemptID{anAttempt()}, Refused: slots(),
	}
}

func aLeftover() gateway.Leftover {
	return gateway.Leftover{Kind: "blob", Path: "a/b", Reason: "nothing names it", Removed: true}
}

func aWorkerRegistration() gateway.WorkerRegistration {
	return gateway.WorkerRegistration{Worker: aWorker(), Labels: labels(), Release: "v1.2.3", Report: aReport()}
}

func aMasterRegistration() gateway.MasterRegistration {
	return gateway.MasterRegistration{
		Term: aTerm(), MasterLocation: gateway.MasterLocation{Job: "etl-1", Address: "127.0.0.1:7431"},
	}
}

func aWorkerReply() gateway.WorkerReply {
	return gateway.WorkerReply{HeartbeatTimeout: 10 * time.Second, Drain: true}
}

func aSlotRequest() gateway.SlotRequest {
	return gateway.SlotRequest{Term: aTerm(), Job: "etl-1", Count: 2}
}
