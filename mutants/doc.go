// Command mutants breaks coordd's own safety code on purpose, in one place after
// the other, and shows that a test turns red each time. A test that stays green
// proves nothing about what it guards.
//
//	go run ./mutants                      # all of them; make mutants
//	go run ./mutants -run 'guard|lease'   # those whose names match
//
// A mutant is a file of catalogue/, in the form of txtar:
//
//	Why it is wrong, in a sentence or two, with the invariant that it breaks.
//
//	test ./zookeeper TestOne TestTwo
//	-- zookeeper/guard.go old --
//	lines of that file
//	-- zookeeper/guard.go new --
//	what they become
//
// The old lines must stand in the file exactly once, or the run fails: a mutant that
// no longer applies shows nothing. A test of this package holds the same, so a change
// of the code that a mutant is about has to carry the mutant along.
//
// Nothing of this is compiled into coordd. Build tags would do the same, but each
// would stand as an alternative in the very code that is to be read with the greatest
// care, and would rot unseen. Instead the changed files are laid over the module for
// one run of go test (its flag -overlay); the work tree is not touched.
//
// A run begins with the same tests on the code as it is: they must pass, or
// their failure says nothing of a mutant. Then each mutant must compile and fail one
// of its tests. A test that hangs counts as failed and is shown as such.
package main
