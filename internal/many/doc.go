// Package many shows on real servers and real databases that many at once change nothing of what Safepoint promises:
// of a hundred requests that exclude each other one wins, and forty clients at work see a database whole or not at all.
//
// It holds tests only. `make test` runs each with small counts, `make reliability` with large ones.
package many
