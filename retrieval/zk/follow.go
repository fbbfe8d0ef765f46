package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/zookeeper"
)

// look reads what is so now, and returns a watch that was armed before the read and
// fires when that changes.
type look func(ctx context.Context, s *zookeeper.Session) (seen retrieval.Observation, fired <-chan struct{}, err error)

// follow reports what look sees until ctx ends, over any number of sessions.
func follow(ctx context.Context, client *zookeeper.Client, component string, see look, observe func(retrieval.Observation)) error {
	for {
		observe(retrieval.Observation{Status: retrieval.StatusUnknown})
		s, err := client.Session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		err = followIn(ctx, s, see, observe)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case s.Err() == nil:
			return fmt.Errorf("retrieval: follow %s: %w", component, err)
		}
		<-s.Done()
	}
}

// followIn reports what look sees until the session has ended.
func followIn(ctx context.Context, s *zookeeper.Session, see look, observe func(retrieval.Observation)) error {
	var announced <-chan struct{} // the connection that was; closed when it is lost
	for {
		var fired <-chan struct{}
		state, changed := s.State()
		if state != zookeeper.Connected {
			observe(retrieval.Observation{Status: retrieval.StatusUnknown})
		} else {
			if announced != changed {
				announced = changed
				observe(retrieval.Observation{Status: retrieval.StatusUnconfirmed})
			}
			seen, watch, err := lookWhile(ctx, changed, s, see)
			if errors.Is(err, errInterrupted) {
				continue
			}
			if err != nil {
				return err
			}
			observe(seen)
			fired = watch
		}
		select {
		case <-fired:
		case <-changed:
		case <-s.Done():
			return s.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errInterrupted says that the connection changed under a look.
var errInterrupted = errors.New("connection changed")

// lookWhile looks unless the connection changes before all answers are there: reads
// would wait for the next connection, and what was observed last would go on to
// count as known. So all that one look has read comes from one connection.
func lookWhile(ctx context.Context, changed <-chan struct{}, s *zookeeper.Session, see look) (retrieval.Observation, <-chan struct{}, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		select {
		case <-changed:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	})
	seen, fired, err := see(ctx, s)
	if isClosed(changed) {
		return retrieval.Observation{}, nil, errInterrupted
	}
	return seen, fired, err
}

// absent returns the observation that nobody leads, made behind a watch on the node
// that is missing. Its index is the newest change of the place where the node would be,
// or, while that is missing too, of what is left above it: removing a node changes
// its parent. There is none at the top.
//
// It reports false when the watch has fired meanwhile. Its event comes before any
// answer that knows of the change, so else no index here is one of a later node's.
func absent(ctx context.Context, s *zookeeper.Session, node string, fired <-chan struct{}) (retrieval.Observation, bool, error) {
	none := retrieval.Observation{Status: retrieval.StatusNone}
	for place := path.Dir(node); place != "/"; place = path.Dir(place) {
		stat, exists, err := s.Exists(ctx, place)
		if err != nil {
			return retrieval.Observation{}, false, err
		}
		if exists {
			none.Index = stat.Pzxid
			break
		}
	}
	return none, !isClosed(fired), nil
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func isCleanPath(p string) bool { return strings.HasPrefix(p, "/") && p != "/" && p == path.Clean(p) }
