// Package fault marks the places where a test may kill, stop or fail the program. In a normal build a mark costs
// nothing and leaves nothing behind: its functions are empty, and the compiler drops the names with the calls.
//
// Built with the tag "faultpoints", one place is chosen by SAFEPOINT_FAULT, or while the program runs by what stands in
// the file that SAFEPOINT_FAULT_FILE names:
//
//	restore.switch.before=kill      kill -9 at that point
//	restore.load.half=error@3       the third time it is passed
//	restore.halt.done=stop          SIGSTOP; whoever wants it to go on sends SIGCONT
//	call:engine=error@7             the 7th call of the database engine fails, and does nothing
//	call:storage=lost@2             the 2nd call of the storage does its work, and its answer is lost
//	call:halter=error@1+            every call of a service fails from the first on
//	calls=count                     nothing fails: the file with ".met" behind it says how many calls of each kind were made
//
// What follows a "#" is a remark: another remark makes it another fault, whose passages are counted anew. When a fault
// strikes, the spec is written into the file named like SAFEPOINT_FAULT_FILE with ".met" behind it.
package fault
