// Package blob keeps values that are too large for a backend, in files of a folder
// that all coordinators of a cluster share.
//
//	<folder>/coordd-blobs.json      which cluster's folder this is, and its mark
//	<folder>/<bb>/<name>.blob       a value
//	<folder>/<bb>/.<name>.<random>  a write that is under way, or was cut short
//
// # Files
//
// A name is written once and never again, so a value never changes. Put writes a
// file of another name, syncs it, renames it, and syncs the folder:
//
//	create .name.random ─▶ write ─▶ sync ─▶ rename to name.blob ─▶ sync folder ─▶ nil
//
// A crash before the rename leaves a file that Get does not look at and List names;
// one after it leaves the value. A file begins with the checksum of its name and its
// bytes, so that one that was torn, changed, or put under another name is ErrDamaged
// and never another value.
//
// The file system must make rename atomic and keep what was synced, as local ones
// and NFS do.
//
// # One store
//
// A value is named by something that all coordinators see (package jobstore names it
// in a graph). That is worth nothing if the folder of the one is not the folder of
// the other. So the folder has a mark, a random number, and the backend holds the
// same one. Gate compares them at the start of each term. The first term of a cluster
// makes both, in an order in which neither a crash nor a second folder goes unseen:
//
//	backend: claim ─▶ folder: claim and mark ─▶ backend: claim and mark
//
// The claim says that the folder's mark is this cluster's: a folder with another
// claim belongs to another cluster. The mark says that it is this folder: two nodes
// that each have a folder of their own make two marks under one claim, and only the
// first that comes to the end leads from then on.
//
// A cluster whose mark is in the backend is not led without the folder either: its
// large values would be missing.
//
// A Dir and a Gate hold no state and start no goroutine. Calls block in the file
// system, which no context can interrupt.
package blob
