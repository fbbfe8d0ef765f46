package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/coordd/coordd/job"
)

// LogRequest names the output of a subtask's newest attempt.
type LogRequest struct {
	Job     job.ID
	Task    string
	Subtask int
	// Offset is the first byte; a negative one counts from the end.
	Offset int64
	// Follow goes on with what the attempt writes, until it ends.
	Follow bool
}

// Logs writes the output to w as it comes and returns nil when it was written to its end:
// to what there was when it was read, or with Follow to the attempt's end. A connection
// that is lost on the way is made again, through any node, while patience lasts and
// the worker keeps the output.
//
// Errors: ErrNoJob, ErrNoTask, ErrNoLog when there is no output, or a part of it was gone
// before it was read, an *Error when the worker does not answer, ErrNoLeader,
// ErrUnreachable, ctx's, or w's. What was written before is right, and without gaps.
func (c *Client) Logs(ctx context.Context, r LogRequest, w io.Writer) error {
	var attempt string // that is read, empty before the first answer
	pause, since := firstPause, time.Now()
	for {
		l, err := c.openLog(ctx, r)
		if err != nil {
			return err
		}
		if err := l.continues(attempt, r.Offset); err != nil {
			return errors.Join(err, l.body.Close())
		}
		attempt, r.Offset = l.attempt, l.offset
		n, err := copyLog(w, l.body)
		r.Offset += n
		if closed := l.body.Close(); err == nil {
			err = closed
		}
		var cut *cutError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &cut):
			return err
		}
		if n > 0 {
			pause, since = firstPause, time.Now()
		}
		if c.cfg.Patience < time.Since(since) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}

// logAnswer is an output whose reading has begun.
type logAnswer struct {
	attempt string
	offset  int64
	body    io.ReadCloser
}

func (c *Client) openLog(ctx context.Context, r LogRequest) (logAnswer, error) {
	var l logAnswer
	path := "/v1/jobs/" + url.PathEscape(string(r.Job)) + "/tasks/" + url.PathEscape(r.Task) + "/" + strconv.Itoa(r.Subtask) + "/log"
	query := url.Values{"offset": {strconv.FormatInt(r.Offset, 10)}, "follow": {strconv.FormatBool(r.Follow)}}
	_, err := c.send(ctx, request{
		method: http.MethodGet, path: path, query: query, stream: true,
		take: func(address string, resp *http.Response) error {
			offset, err := strconv.ParseInt(resp.Header.Get("Coordd-Log-Offset"), 10, 64)
			if err != nil {
				return errors.Join(notCoordd(address, path, resp), resp.Body.Close())
			}
			l = logAnswer{attempt: resp.Header.Get("Coordd-Log-Attempt"), offset: offset, body: resp.Body}
			return nil
		},
	})
	return l, err
}

// continues says why the output is not the rest of the attempt's from the offset, nil
// when it is. Nothing was read before without an attempt.
func (l logAnswer) continues(attempt string, offset int64) error {
	switch {
	case attempt == "":
		return nil
	case attempt != l.attempt:
		return fmt.Errorf("%w: attempt %s has ended and another one has begun, before byte %d and what follows was read", ErrNoLog, attempt, offset)
	case l.offset != offset:
		return fmt.Errorf("%w: bytes %d to %d of attempt %s were rotated away before they were read", ErrNoLog, offset, l.offset, attempt)
	}
	return nil
}

// cutError: the connection was lost before the output's end.
type cutError struct{ err error }

func (e *cutError) Error() string { return "the output was cut off: " + e.err.Error() }

func (e *cutError) Unwrap() error { return e.err }

// copyLog is io.Copy that tells the errors of its sides apart: those of the body are
// *cutErrors.
func copyLog(w io.Writer, body io.Reader) (int64, error) {
	var written int64
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			m, err := w.Write(buffer[:n])
			written += int64(m)
			if err != nil {
				return written, fmt.Errorf("write the output: %w", err)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return written, nil
		case err != nil:
			return written, &cutError{err: err}
		}
	}
}
