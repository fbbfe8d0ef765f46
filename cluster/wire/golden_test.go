package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/gateway/gatewaypb"
)

// update writes the golden file anew.
var update = flag.Bool("update", false, "write testdata/messages.golden")

// TestMessagesKeepTheirForm holds the bytes of the messages that two releases exchange
// most. A field may be added; what is there does not change.
func TestMessagesKeepTheirForm(t *testing.T) {
	var got bytes.Buffer
	for _, m := range []proto.Message{
		&gatewaypb.SlotRequest{Term: toTerm(aTerm()), Job: "etl-1", Count: 2},
		toSlots(slots()),
		&gatewaypb.OfferSlotsRequest{Worker: toWorker(aWorker()), Slots: each(slots(), toSlot)},
		&gatewaypb.DeployRequest{Term: toTerm(aTerm()), Deployments: each([]gateway.Deployment{aDeployment()}, toDeployment)},
		&gatewaypb.DeployReply{Refusals: []*gatewaypb.Refusal{toRefusal(gateway.Refusal{Attempt: anAttempt(), Err: gateway.ErrNoSlot})}},
		&gatewaypb.AttemptsEndedRequest{Worker: toWorker(aWorker()), Ends: each([]gateway.AttemptEnd{anEnd()}, toEnd)},
		&gatewaypb.RegisterAtMasterRequest{Worker: toWorker(aWorker()), Has: toJobReport(aJobReport())},
		&gatewaypb.WorkerRegistration{Worker: toWorker(aWorker()), Labels: labels(), Release: "v1.2.3", Report: toReport(aReport())},
		toPeer(aPeer()),
		toReport(aReport()),
		&gatewaypb.MasterHeartbeat{From: toPeer(aPeer())},
	} {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s\n%s\n", m.ProtoReflect().Descriptor().FullName(), hex.Dump(data))
	}
	const path = "testdata/messages.golden"
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the form changed, got:\n%s\nwant:\n%s", got.Bytes(), want)
	}
}
