// Package examples holds examples that need more than the module itself requires,
// so that this does not reach those who embed it: here a database. It is a module of
// its own and nothing imports it.
package examples
