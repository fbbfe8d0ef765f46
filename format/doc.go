// Package format keeps a cluster and the releases of coordd that lead it to one
// format of what is stored.
//
// The node "format" says which format version the cluster is in, and which coordd
// put it there. The first leader of a cluster writes it; every later one reads it
// before anything else:
//
//	                    not there                     up to one ahead
//	grant ──▶ read ──────────────────▶ create ──▶ lead ◀──────────────┐
//	            │                                                     │
//	            └── there ────────────────────────────────────────────┤
//	                                                                  │ further ahead
//	             the term ends, another node may lead ◀───────────────┘
//
// A release writes Current and reads Newest, which is one ahead. So both of two
// neighbouring releases can lead a cluster in turn while its nodes are replaced
// one by one. Version n+1 of anything stored therefore adds only what a reader of
// version n may ignore; what it must not ignore makes it version n+2. Each kind of
// record counts its own versions by the same rule, in internal/envelope.
//
// A format that is too new ends the term with an error, and never puts a job
// aside: nothing is damaged, this node alone cannot read it. The error names the
// coordd that wrote it and what to do.
//
// The node itself must be understood by every release, so it keeps its shape for
// ever: envelope version 1 around JSON with the fields that record has. Fields can
// be added.
//
// A Gate holds no state and starts no goroutine.
package format
