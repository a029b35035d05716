// Package soak kills a real server at every named point of a backup, a restore (over the database or into a new one) and an undo, on real databases with a
// real service writing into them, and checks after the next start that nothing was lost and nothing was left halted.
//
// It holds tests only: `make test` runs each point once, `make soak ROUNDS=n` runs each n times.
package soak
