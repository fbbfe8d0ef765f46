// Package archtest reads the whole module and holds the rules that no single
// package can hold for itself: which package may import which (the floors), what
// may not be depended on at all, what must be documented, how large files and
// functions may be, and the habits that keep goroutines, contexts and package
// state in order. Its tests are the rules; nothing imports it.
//
// A Rule is a function from a Module to its Findings, without any state. The
// same function runs twice: on this module, where it must find nothing, and on
// the small sources in testdata/<rule>.txtar, where it must find exactly the
// lines marked with "// want". So a rule that has stopped finding anything fails.
//
// A Module is the syntax of every Go file, test files and files for other
// systems included, and the import graph down to the standard library, as
// "go list" reports it. Rules work on syntax alone: they know names and import
// paths, not types.
//
// When a rule is in the way, change the code; when the rule is wrong, change the
// rule and its testdata in a commit that says why. There is no way to exempt a
// line.
package archtest
