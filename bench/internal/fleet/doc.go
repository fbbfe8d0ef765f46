// Package fleet is what the benchmarks of jobs have in common: a leading agent and
// workers in the benchmark's process, which talk over the wire as in processes of
// their own, and jobs of registered functions.
//
//	With ──▶ agent and workers start ──▶ f ──▶ workers end ──▶ agent ends
//
// With owns a goroutine for each of them, and waits for all. Expected has none of its
// own: its watches are those of a bare session.
package fleet
