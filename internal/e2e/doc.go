// Package e2e shows on real databases, through a running server and its API, that the product does what it says: bad
// input is refused in plain words with nothing changed, no acknowledged order is lost, and no secret gets out.
//
// It holds tests only. Each starts a server of its own in a temporary folder.
package e2e
