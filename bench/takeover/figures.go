package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
)

// figures are what an agent says of itself.
type figures struct {
	memory, goroutines float64
	// takeover is how long its newest take-over took after the election, in seconds.
	takeover float64
}

// looks is how often memory is looked at; the least counts, as the rest is garbage.
const looks = 50

// figures asks an agent that has little to do.
func (a *agent) figures(ctx context.Context) (best figures, err error) {
	for range looks {
		f, err := a.measurements(ctx)
		if err != nil {
			return best, err
		}
		if best.memory == 0 || f.memory < best.memory {
			best = f
		}
		if err := rig.Pause(ctx, 20*time.Millisecond); err != nil {
			return best, err
		}
	}
	return best, nil
}

func (a *agent) measurements(ctx context.Context) (f figures, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.http+"/metrics", nil)
	if err != nil {
		return f, fmt.Errorf("ask %s for its measurements: %w", a.id, err)
	}
	req.Close = true
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		return f, fmt.Errorf("ask %s for its measurements: %w", a.id, err)
	}
	defer res.Body.Close()
	return parse(res.Body)
}

// parse reads the text form of Prometheus as far as it is needed here.
func parse(text io.Reader) (f figures, err error) {
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		metric, _, _ := strings.Cut(name, "{")
		var to *float64
		switch metric {
		case "go_memstats_heap_alloc_bytes", "go_memstats_stack_inuse_bytes":
			to = &f.memory
		case "go_goroutines":
			to = &f.goroutines
		case "coordd_takeover_seconds":
			to = &f.takeover
		default:
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return f, fmt.Errorf("measurement %q: %w", lines.Text(), err)
		}
		*to += v
	}
	return f, lines.Err()
}
