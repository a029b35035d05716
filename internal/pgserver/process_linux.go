package pgserver

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel stop the server when the process that started it is gone, however it went.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT }
