package cli

import (
	"bufio"
	"context"
	"fmt"

	"github.com/safepoint-db/safepoint/internal/server"
)

type resetPasswordCmd struct {
	Email         string `arg:"" help:"The address of the person."`
	Data          string `required:"" type:"existingdir" env:"SAFEPOINT_DATA" placeholder:"DIR" help:"The server's data directory; the server may run."`
	PasswordStdin bool   `help:"Read the new password from standard input."`
}

// Run asks for the new password twice, unless it is given.
func (cmd *resetPasswordCmd) Run(ctx context.Context, env *Env) error {
	password, err := cmd.password(env)
	if err != nil {
		return err
	}
	u, err := server.ResetPassword(ctx, cmd.Data, cmd.Email, password)
	if err != nil {
		return err
	}
	return env.print(map[string]string{"id": u.ID, "name": u.Name, "email": u.Email}, func(w ioWriter) {
		fmt.Fprintf(w, "%s (%s) has a new password. Nobody is signed in as them any more; their passkeys are removed.\n", u.Name, u.Email)
	})
}

func (cmd *resetPasswordCmd) password(env *Env) (string, error) {
	if cmd.PasswordStdin {
		return readLine(bufio.NewReader(env.In))
	}
	if !env.terminal() {
		return "", usagef("--password-stdin is needed where no person can be asked")
	}
	password, err := env.askSecret("New password: ")
	if err != nil {
		return "", err
	}
	again, err := env.askSecret("Once more: ")
	if err == nil && again != password {
		err = usagef("the two are not the same")
	}
	return password, err
}
