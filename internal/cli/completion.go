package cli

import (
	"embed"
	"io/fs"
)

// completionScripts ask this program, at each press of the tab key, what may come next: they know nothing themselves,
// so they never age.
//
//go:embed completion/safepoint.*
var completionScripts embed.FS

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Your shell: ${enum}."`
}

func (cmd *completionCmd) Run(env *Env) error {
	script, err := fs.ReadFile(completionScripts, "completion/safepoint."+cmd.Shell)
	if err != nil {
		panic("cli: there is no script for " + cmd.Shell + ": " + err.Error())
	}
	_, err = env.Out.Write(script)
	return err
}
