// Package resultstore keeps the one result that each job ends with.
//
// A result is recorded dirty first: from then on nothing of the job runs again,
// but its externals are still to be removed. When they are gone it becomes clean
// in one transaction that also removes all else that is stored of the job, and
// stays for as long as it is retained.
//
//	          CreateDirty             MarkClean (with jobstore.Removal)       Forget
//	(nothing) ───────────▶   dirty   ───────────▶   clean ───────────▶ (nothing)
//	          ErrExists if it          one transaction: delete dirty,
//	          is dirty or clean        create clean, remove the job
//
// Which clean results are forgotten, and when, is the caller's to decide. Replace
// does what CreateDirty does also over a result that cannot be read.
//
// A leader that takes over finds every job in one of these three states, also
// when its predecessor died between or during two transactions, and continues
// from there.
//
// # One result for each job
//
// A transaction can demand that the dirty path is free, and cannot demand in the
// same breath that the clean path is. CreateDirty therefore looks at the clean
// path first and then creates the dirty one. Between the two nobody else can have
// recorded or cleaned the result: another term cannot write without deposing this
// one, and then the guard refuses the create; and within the term a job's end is
// in one hand. That last point is the caller's: calls that write the result of
// one id must not overlap.
//
// A Store holds no state and starts no goroutine that outlives a call. Calls for
// different ids, and all reads, may be under way at once.
package resultstore
