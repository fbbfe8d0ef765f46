package zk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/coordd/coordd/zookeeper"
)

// requestSuffix ends the path of a request for a transfer, which stands beside the
// latch: below it Curator would take the request for a contender.
const requestSuffix = "-transfer"

// requestVersion is the version of the format of requests, of which this file is the
// owner. A contender leaves requests of another version alone.
const requestVersion = 1

// request asks those at a latch to change their order. It is the data, as JSON, of an
// ephemeral node of whoever asks, and so ends with them.
type request struct {
	Version int `json:"version"`
	// From is the name of the latch node that leads.
	From string `json:"from"`
	// To is the name of the latch node that shall lead; empty for whichever is next.
	To string `json:"to,omitempty"`
	// ToID is the ID of that participant, for people.
	ToID string `json:"to_id,omitempty"`
	// By is a random name of who asks: two may share a session.
	By string `json:"by"`
}

func (r request) encode() ([]byte, error) {
	r.Version = requestVersion
	return json.Marshal(r)
}

func decodeRequest(data []byte) (request, error) {
	var r request
	if err := json.Unmarshal(data, &r); err != nil {
		return request{}, err
	}
	if r.Version != requestVersion {
		return request{}, fmt.Errorf("it has version %d of the format, this contender knows %d", r.Version, requestVersion)
	}
	return r, nil
}

// String says what is asked for.
func (r request) String() string {
	if r.To == "" {
		return "a transfer to whoever is next was asked for"
	}
	return fmt.Sprintf("a transfer to %q was asked for", r.ToID)
}

// duty is what a request asks of one contender.
type duty int

const (
	stay duty = iota
	queueAgain
	resign
)

// duty returns what the request asks of the contender with the given node, in the
// given order of nodes. The leader stays until its successor is next, so that nobody
// in between has to be elected on the way; those behind the successor do nothing.
func (r request) duty(order []string, node string) duty {
	own, to := slices.Index(order, node), slices.Index(order, r.To)
	switch {
	case len(order) == 0 || order[0] != r.From: // the leader that was meant has gone
		return stay
	case own == 0 && (r.To == "" || to == 1):
		return resign
	case own > 0 && own < to:
		return queueAgain
	default:
		return stay
	}
}

// inbox is where the requests at a latch are.
type inbox struct {
	s     *zookeeper.Session
	latch string
}

func (i inbox) path() string { return i.latch + requestSuffix }

// errUnreadable is the reason for which a request is left alone.
var errUnreadable = errors.New("request for a transfer cannot be read")

// read returns what is asked, the zero request for nothing, and a channel that is
// closed when that may have changed. It costs one request to ZooKeeper where nothing
// is asked. The channel is also there with errUnreadable, and with no other error.
func (i inbox) read(ctx context.Context) (request, <-chan struct{}, error) {
	_, exists, changed, err := i.s.Watch(ctx, i.path())
	if err != nil || !exists {
		return request{}, changed, err
	}
	data, _, err := i.s.Get(ctx, i.path())
	switch {
	case errors.Is(err, zookeeper.ErrNoNode):
		return request{}, changed, nil
	case errors.Is(err, zookeeper.ErrNoAuth):
		return request{}, changed, fmt.Errorf("%w: %w", errUnreadable, err)
	case err != nil:
		return request{}, nil, err
	}
	r, err := decodeRequest(data)
	if err != nil {
		return request{}, changed, fmt.Errorf("%w: %s: %w", errUnreadable, i.path(), err)
	}
	return r, changed, nil
}

// duty returns what is asked of the contender with the given node, in which order of
// nodes, and a channel as read's. It lists the contenders only where something is
// asked.
func (i inbox) duty(ctx context.Context, node string) (d duty, r request, order []string, changed <-chan struct{}, err error) {
	r, changed, err = i.read(ctx)
	if err != nil || r == (request{}) {
		return stay, r, nil, changed, err
	}
	order, err = list(ctx, i.s, i.latch)
	return r.duty(order, node), r, order, changed, err
}
