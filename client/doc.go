// Package client asks a coordd cluster over HTTP: who leads, and what becomes of
// jobs.
//
// A Client knows several nodes and takes the first that answers. Every node can
// be asked: what only the leader can answer is forwarded by it. A hand-over shows
// as connections that are refused and as answers of 503; the Client goes on to the
// next node then, and round again for as long as its patience lasts. Asking again
// is safe: a submission carries its ID, so it is accepted once.
package client
