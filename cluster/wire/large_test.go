package wire

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/rpc"
	"github.com/coordd/coordd/rpc/remote"
)

func TestJobsThatExceedAMessageComeAllAndOnce(t *testing.T) {
	both(t, func(t *testing.T, h *hosted) {
		var jobs []job.Snapshot
		for i := range 40 { // most of them two of each time, together four pages
			snap := aSnapshot()
			snap.ID = job.ID(fmt.Sprintf("job-%02d", i))
			if snap.SubmittedAt = since().Add(time.Duration(i / 2)); i < 15 { // more than a page that could not be read
				snap.SubmittedAt = time.Time{}
			}
			snap.Error = strings.Repeat("x", pageSize/10)
			jobs = append(jobs, snap)
		}
		h.results = []any{jobs}
		got, err := h.dispatcher.Jobs(t.Context())
		if err != nil || !reflect.DeepEqual(got, jobs) {
			t.Errorf("got %d jobs, %v, want the same %d", len(got), err, len(jobs))
		}
	})
}

func TestGraphThatExceedsAMessageIsTooLarge(t *testing.T) {
	h := host(t, true)
	graph := aGraph()
	graph.Tasks[0].Command = []string{strings.Repeat("x", remote.DefaultMaxMessage)}
	_, _, err := h.dispatcher.Submit(t.Context(), gateway.Submission{ID: "etl-1", Graph: graph})
	if !errors.Is(err, gateway.ErrTooLarge) || !errors.Is(err, rpc.ErrTooLarge) {
		t.Errorf("got %v, want gateway.ErrTooLarge", err)
	}
}

func TestListsThatExceedAMessageGoInParts(t *testing.T) {
	h := host(t, true)
	var ends []gateway.AttemptEnd
	var deployments []gateway.Deployment
	for i := range 300 { // 64 KiB each: two messages' worth
		end, d := anEnd(), aDeployment()
		end.Attempt.Subtask, d.Attempt.Subtask = i, i
		end.Result = bytes.Repeat([]byte("x"), job.MaxResult)
		d.Inputs[0].Data = end.Result
		ends, deployments = append(ends, end), append(deployments, d)
	}
	if err := h.master.AttemptsEnded(t.Context(), aWorker(), ends); err != nil {
		t.Fatal(err)
	}
	h.results = []any{[]gateway.Refusal{{Attempt: anAttempt(), Err: gateway.ErrNoSlot}}}
	refusals, err := h.worker.Deploy(t.Context(), aTerm(), deployments)
	if err != nil {
		t.Fatal(err)
	}
	var gotEnds []gateway.AttemptEnd
	var got []gateway.Deployment
	for _, args := range h.seen {
		switch part := args[1].(type) {
		case []gateway.AttemptEnd:
			gotEnds = append(gotEnds, part...)
		case []gateway.Deployment:
			got = append(got, part...)
		}
	}
	if !reflect.DeepEqual(gotEnds, ends) || !reflect.DeepEqual(got, deployments) {
		t.Errorf("%d ends and %d deployments arrived, want the same %d of each", len(gotEnds), len(got), len(ends))
	}
	if parts := len(h.seen) / 2; parts < 4 || len(refusals) != parts {
		t.Errorf("%d parts of each, %d refusals; want several, and one refusal from each", parts, len(refusals))
	}
}

func TestChunksHaveEverythingOnce(t *testing.T) {
	message := func(size int) *wrapperspb.BytesValue { return wrapperspb.Bytes(make([]byte, size)) }
	for name, c := range map[string]struct {
		sizes []int
		want  []int // elements of each part
	}{
		"nothing":         {nil, []int{0}},
		"little":          {[]int{1, 2, 3}, []int{3}},
		"larger than one": {[]int{1, 2 * chunkSize, 1}, []int{1, 1, 1}},
		"first is larger": {[]int{2 * chunkSize, 1, 1}, []int{1, 2}},
		"halves":          {[]int{chunkSize / 2, chunkSize / 2, chunkSize / 2}, []int{1, 1, 1}},
	} {
		var all []*wrapperspb.BytesValue
		for _, size := range c.sizes {
			all = append(all, message(size))
		}
		var got []int
		for part := range chunks(all) {
			got = append(got, len(part))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: parts of %v, want %v", name, got, c.want)
		}
	}
}
