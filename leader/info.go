package leader

import (
	"encoding/json"
	"fmt"
	"time"
)

// The components that coordd itself publishes. Embedders may use names of
// their own.
const (
	// Dispatcher accepts, runs and finishes jobs.
	Dispatcher = "dispatcher"
	// ResourceManager keeps workers and slots.
	ResourceManager = "resource_manager"
	// RESTServer is the HTTP side of the leading coordinator.
	RESTServer = "rest_server"
)

// Phase tells how far a leader has come. Only the leader's own process knows
// PhaseElected and PhaseRecovering; others see a leader when it is ready, and
// nothing before.
type Phase string

// The phases, in their order.
const (
	// PhaseElected: the term has begun.
	PhaseElected Phase = "elected"
	// PhaseRecovering: the predecessor's state is being read.
	PhaseRecovering Phase = "recovering"
	// PhaseReady: the component serves.
	PhaseReady Phase = "ready"
)

// Info says who leads a component. Leaders publish it when they are ready.
type Info struct {
	// Component is what is led, for example "dispatcher".
	Component string `json:"component"`
	// ID is the leading participant.
	ID string `json:"id"`
	// Address is the leader's HTTP base URL.
	Address string `json:"address"`
	// RPCAddress is the leader's host:port for RPC.
	RPCAddress string `json:"rpc_address"`
	// SessionID and Epoch name the term.
	SessionID SessionID `json:"session_id"`
	// Epoch orders the term among all others.
	Epoch Epoch `json:"epoch"`
	// Since is when the term began, by the leader's clock.
	Since time.Time `json:"since"`
	// Phase is PhaseReady in everything that is published.
	Phase Phase `json:"phase"`
}

// infoFormat is the version of the published form. Readers refuse others.
const infoFormat = 1

// infoRecord is the published form of an Info: its JSON and a version.
type infoRecord struct {
	Version int `json:"v"`
	Info
}

// Encode returns the form in which the info is published.
func (i Info) Encode() ([]byte, error) {
	return json.Marshal(infoRecord{Version: infoFormat, Info: i})
}

// DecodeInfo reads what Encode wrote. Its error says what is wrong with the
// bytes; unknown fields are ignored, another version is refused.
func DecodeInfo(data []byte) (Info, error) {
	var r infoRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return Info{}, fmt.Errorf("leader information is not readable: %w", err)
	}
	if r.Version != infoFormat {
		return Info{}, fmt.Errorf("leader information has format version %d, this coordd reads %d", r.Version, infoFormat)
	}
	if r.SessionID == "" || r.Epoch <= 0 {
		return Info{}, fmt.Errorf("leader information of %q names no term", r.Component)
	}
	return r.Info, nil
}
