package curator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/election"
	electionzk "github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
)

// contenderCommand is the first argument of a process that is a contender of ours.
const contenderCommand = "contender"

// contender is our counterpart of testdata/Contender.java: it says and obeys the same,
// with an Elector.
type contender struct {
	client        *zookeeper.Client
	elector       *election.Elector
	latch, claims string

	said sync.Mutex // one line at a time

	mu   sync.Mutex
	term *election.Term // the newest, also when it has ended
}

// contenderMain is the process: its arguments are those of Contender.java. It dies at
// the end of its input, as a crash would, and returns after "exit".
func contenderMain(args []string) int {
	c, err := newContender(args)
	if err == nil {
		err = c.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func newContender(args []string) (*contender, error) {
	if len(args) != 5 {
		return nil, fmt.Errorf("contender %q: want CONNECT LATCH CLAIMS ID SESSION-TIMEOUT-MS", args)
	}
	timeout, err := strconv.Atoi(args[4])
	if err != nil {
		return nil, fmt.Errorf("session time-out: %w", err)
	}
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr})
	c := &contender{latch: args[1], claims: args[2]}
	if c.client, err = zookeeper.New(zookeeper.Config{
		Servers: []string{args[0]}, SessionTimeout: time.Duration(timeout) * time.Millisecond, Logger: log,
	}); err != nil {
		return nil, err
	}
	driver, err := electionzk.New(electionzk.Config{Client: c.client, Latch: c.latch, Tick: tick, Logger: log})
	if err != nil {
		return nil, err
	}
	c.elector, err = election.New(election.Config{ID: args[3], Driver: driver, Logger: log})
	return c, err
}

// run obeys until "exit", and then leaves cleanly.
func (c *contender) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	client := make(chan error, 1)
	go func() { client <- c.client.Run(ctx) }()
	err := c.obey(ctx)
	cancel()
	if ended := <-client; err == nil && !errors.Is(ended, context.Canceled) {
		err = ended
	}
	return err
}

func (c *contender) obey(ctx context.Context) error {
	leave := c.contend(ctx)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "contend":
			leave = c.contend(ctx)
		case "claim":
			c.say(c.claim(ctx))
		case "leading":
			c.say(map[bool]string{true: "yes", false: "no"}[c.elector.Status().Leading])
		case "participants":
			c.say(c.participants(ctx))
		case "close":
			if err := leave(); err != nil {
				return err
			}
			c.say("closed")
		case "exit":
			return leave()
		default:
			return fmt.Errorf("unknown command %q", lines.Text())
		}
	}
	os.Exit(1) // whoever gave the commands is gone
	return io.EOF
}

// contend starts to contend. The returned function leaves the contest, waits until
// nothing of it runs any more, and may be called again.
func (c *contender) contend(ctx context.Context) (leave func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		err := c.elector.Run(ctx, election.ContenderFunc(c.lead))
		if !errors.Is(err, context.Canceled) {
			c.say("ended: " + err.Error())
		}
		ended <- err
	}()
	return sync.OnceValue(func() error {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
}

func (c *contender) lead(ctx context.Context, t *election.Term) error {
	c.mu.Lock()
	c.term = t
	c.mu.Unlock()
	c.say(fmt.Sprintf("leader %d", t.Epoch()))
	<-ctx.Done()
	c.say("notleader")
	return nil
}

// claim makes a guarded write in the newest term, whether or not that is over: it is
// for the guard to refuse it then.
func (c *contender) claim(ctx context.Context) string {
	c.mu.Lock()
	t := c.term
	c.mu.Unlock()
	if t == nil {
		return "refused: never led"
	}
	guard, ok := leader.Token[zookeeper.Guard](t.Guard())
	if !ok {
		return "refused: the guard is not of ZooKeeper"
	}
	node := path.Base(guard.Path())
	claim := zookeeper.CreateOp(c.claims+"/ours-"+uuid.NewString(), []byte(node), zookeeper.Persistent)
	if err := guard.Commit(ctx, claim); err != nil {
		return "refused: " + err.Error()
	}
	return "claimed"
}

// participants lists the contenders' IDs in their order, with a star at the first.
func (c *contender) participants(ctx context.Context) string {
	s, err := c.client.Session(ctx)
	if err != nil {
		return "refused: " + err.Error()
	}
	ids, err := queue(ctx, s, c.latch)
	if err != nil {
		return "refused: " + err.Error()
	}
	if len(ids) > 0 {
		ids[0] += "*"
	}
	return strings.Join(append([]string{"participants"}, ids...), " ")
}

func (c *contender) say(line string) {
	c.said.Lock()
	defer c.said.Unlock()
	fmt.Println(line)
}
