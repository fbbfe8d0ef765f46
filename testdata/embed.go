// Package testdata holds job files that are shown, tested and embedded by
// others: those of jobs/ run, those of bad/ are refused with the message that
// stands beside them. See README.md for what each shows and where the text comes
// from.
package testdata

import "embed"

// Jobs holds the job files that run, as "jobs/etl.yaml" and so on.
//
//go:embed jobs/*.yaml
var Jobs embed.FS

// Text is what jobs/etl.yaml works on. The job reads it from the file that the
// variable TEXT names.
//
//go:embed text/raven.txt
var Text string
