// Package layout says where the stores keep a job's values. It is the one place
// that knows the folders, how ids are spread over them, and which ids can stand
// in a path.
//
// A job's value stands at <folder>/<bb>/<id>, where bb are two hex digits of the
// id's hash: a flat folder of 30,000 ids would overflow the frame in which
// ZooKeeper lists it. The hash must never change: it decides where a later
// leader looks. Workers, of which there are few, stand at workers/<id>.
//
// The package holds no state. IDs lists the buckets from several goroutines and
// waits for all of them before it returns:
//
//	folder listed ──▶ up to Concurrency buckets at once ──▶ all ended: ids, or
//	                                                        the first error
package layout
