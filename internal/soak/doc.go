// Package soak breaks a real server in every way it knows while it backs up, restores, undoes, deletes and cleans up, on
// real databases with a real service that writes into them, and checks after each that no promise was broken.
//
// It holds tests, and the writer of their figures. `make test` runs a sample; `make soak ROUNDS=n` strikes every fault
// point n times: KIND, MODE, ENGINE and POINT choose among them, and OUT writes the figures into docs/reliability.md.
package soak
