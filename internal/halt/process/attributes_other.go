//go:build unix && !linux

package process

import "syscall"

// attributes puts a program into a process group of its own. Only Linux can also end it with the server.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
