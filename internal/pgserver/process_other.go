//go:build !linux

package pgserver

import "os/exec"

// dieWithParent is Linux's alone: elsewhere a server outlives a parent that was killed.
func dieWithParent(*exec.Cmd) {}
