package process

import "syscall"

// attributes puts a program into a process group of its own, and ends it with the server: what a killed server began
// must not halt what the next one has resumed. What the program itself has started is not ended then.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
