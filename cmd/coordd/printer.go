package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// color is a terminal's escape sequence.
type color string

// The colors of the demo.
const (
	plain color = ""
	dim   color = "\x1b[2m"
	bold  color = "\x1b[1m"
	red   color = "\x1b[1;31m"
	green color = "\x1b[1;32m"
	cyan  color = "\x1b[1;36m"
	reset color = "\x1b[0m"
)

// printer prints the demo's events, one a line, with the time since its start.
type printer struct {
	out    io.Writer
	began  time.Time
	colors bool
}

func newPrinter(out io.Writer, began time.Time) *printer {
	return &printer{out: out, began: began, colors: isTerminal(out)}
}

// isTerminal reports whether out is a terminal that shows colors.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *printer) paint(c color, text string) string {
	if !p.colors || c == plain {
		return text
	}
	return string(c) + text + string(reset)
}

// title prints lines that stand by themselves.
func (p *printer) title(lines ...string) {
	fmt.Fprintln(p.out)
	for _, line := range lines {
		fmt.Fprintln(p.out, p.paint(bold, line))
	}
	fmt.Fprintln(p.out)
}

// event prints what has just happened.
func (p *printer) event(kind string, c color, format string, args ...any) {
	at := fmt.Sprintf("%6.2fs", time.Since(p.began).Seconds())
	fmt.Fprintf(p.out, "%s  %s  %s\n", p.paint(dim, at), p.paint(c, fmt.Sprintf("%-6s", kind)), fmt.Sprintf(format, args...))
}

// block prints a text, indented, under a heading.
func (p *printer) block(heading, text string) {
	fmt.Fprintf(p.out, "\n  %s\n", p.paint(dim, heading))
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintf(p.out, "    %s\n", p.paint(bold, strings.TrimRight(line, "\n")))
	}
}

// table prints rows, indented, under a heading.
func (p *printer) table(heading string, rows [][]string) error {
	var text strings.Builder
	if err := writeTable(&text, rows); err != nil {
		return err
	}
	p.block(heading, text.String())
	return nil
}
