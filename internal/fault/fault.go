// Package fault marks the places where a test may kill, fail or stop the program. In a normal build a point costs
// nothing: Point is an empty function. Built with the tag "faultpoints", SAFEPOINT_FAULT chooses one, for example
// "restore.switch.before=kill" or "restore.load.during=error@3" (the third time it is passed).
package fault
