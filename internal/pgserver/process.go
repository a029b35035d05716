package pgserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

// lockThread keeps the calling goroutine on its thread for good.
func lockThread() { runtime.LockOSThread() }

// credential is who runs the server: nil is the present user, which must not be root.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
}

// command runs a server program as credential says, with nothing of our environment.
func command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential()}
	return cmd
}

// prepareDir makes dir and gives it to the user who runs the server. Folders above it are left alone.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	cred := credential()
	if cred == nil {
		return nil
	}
	if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
		return err
	}
	check := exec.Command("test", "-w", dir)
	check.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if check.Run() != nil {
		return fmt.Errorf("the user who runs PostgreSQL cannot reach %s: choose a folder whose parents anyone may enter, such as one below /var/tmp", dir)
	}
	return nil
}
