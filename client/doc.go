// Package client asks a coordd cluster over HTTP: who leads, what becomes of jobs, what
// they write, and which workers there are.
//
// A Client knows some nodes by their addresses, or finds the leader through a
// Retrieval, or both, and takes the first answer. Every node can be asked everything.
//
//	            ┌── the leader that is retrieved, then the addresses, from the
//	            │   one that answered last
//	call ──▶ a round ──answered──▶ done
//	            ▲ │ nobody answers, no leader is ready (503), or it is busy (429)
//	            │ ▼
//	            wait: 100 ms doubling to 1 s, as long as a busy leader says, or until
//	                  another leader is retrieved; in all as long as Config.Patience
//
// A hand-over shows as connections that are refused and as answers of 503, and is
// ridden out by going round again. Asking again is safe: a submission carries its ID, so
// it is accepted once, and everything else may be repeated.
//
// Three calls last as long as what they are about: Wait and Follow until a job has
// ended, Logs until an attempt has. Once they have had a first answer, patience begins
// anew with each interruption.
//
// A Client starts no goroutine of its own. The Retriever behind a Retrieval is run by
// whoever made it.
package client
