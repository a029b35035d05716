// Package safepoint names everything the program talks about, and holds the rules that need no machinery:
// which runs of a schedule are due, what an operation may become next, and how an error speaks to a person.
//
// It imports the standard library only. Everything that touches a disk, a network or a clock is below internal/.
package safepoint
