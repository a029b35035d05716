package cli

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
)

type loginCmd struct {
	URL           string `arg:"" help:"The server, such as https://backup.example."`
	Email         string `help:"Your e-mail address; asked for where it is left out." env:"SAFEPOINT_EMAIL"`
	PasswordStdin bool   `help:"Read the password from standard input."`
	Organization  string `short:"o" help:"The organization, by name or ID; default: your first."`
	TokenName     string `help:"What the token is called in the console; default: this machine's name."`
}

func (cmd *loginCmd) Run(ctx context.Context, env *Env) error {
	cfg, err := openConfig()
	if err != nil {
		return err
	}
	l, err := cmd.signIn(ctx, env, cfg)
	if err != nil {
		return err
	}
	shown := map[string]any{"token": l.Token, "organization": l.Organization} // the secret is in the file
	return env.print(shown, func(w ioWriter) {
		fmt.Fprintf(w, "Signed in to %s: %s of %s.\n", cmd.URL, l.Organization.Role, l.Organization.Name)
	})
}

// signIn makes a token and stores it.
func (cmd *loginCmd) signIn(ctx context.Context, env *Env, cfg *config) (l wire.Login, err error) {
	cmd.URL = strings.TrimSuffix(cmd.URL, "/")
	c, err := client.New(client.Config{URL: cmd.URL, UserAgent: "safepoint/" + Version})
	if err != nil {
		return l, err
	}
	if u, err := url.Parse(cmd.URL); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		fmt.Fprintln(env.Err, "safepoint: this connection is not encrypted: others on the network can read your password; better use https")
	}
	in := wire.LoginInput{Email: cmd.Email, Organization: cmd.Organization, TokenName: cmd.TokenName}
	if err := cmd.ask(env, &in); err != nil {
		return l, err
	}
	if l, err = c.Login(ctx, in); err != nil {
		return l, err
	}
	cfg.put(signIn{
		URL: cmd.URL, Email: in.Email, OrganizationID: l.Organization.ID, OrganizationName: l.Organization.Name,
		TokenID: l.Token.ID, Token: l.Secret,
	})
	return l, cfg.save()
}

// ask fills in what was not given.
func (cmd *loginCmd) ask(env *Env, in *wire.LoginInput) (err error) {
	if in.TokenName == "" {
		host, _ := os.Hostname()
		in.TokenName = strings.TrimSpace("safepoint on " + host)
	}
	stdin := bufio.NewReader(env.In)
	if in.Email == "" {
		if !env.terminal() {
			return usagef("--email is needed where no person can be asked")
		}
		fmt.Fprint(env.Err, "E-mail: ")
		if in.Email, err = readLine(stdin); err != nil {
			return err
		}
		in.Email = strings.TrimSpace(in.Email)
	}
	if cmd.PasswordStdin {
		in.Password, err = readLine(stdin)
		return err
	}
	if !env.terminal() {
		return usagef("--password-stdin is needed where no person can be asked")
	}
	in.Password, err = env.askSecret("Password: ")
	return err
}

// Lately is of what the server only does with a password entered a short while ago: a backup is all data, and who can open
// backups is as much. It wants to know that it is still the same person.
type Lately struct {
	PasswordStdin bool `help:"Where the server wants your password again, read it from standard input."`
}

// again does it, and once more with a fresh token where the server wants the password again.
func (l Lately) again(ctx context.Context, env *Env, c *client.Client, do func(*client.Client) error) error {
	err := do(c)
	if safepoint.ErrorCode(err) != safepoint.CodeStepUp || !l.PasswordStdin && !env.terminal() {
		return err
	}
	if c, err = signInAgain(ctx, env, c, l.PasswordStdin); err != nil {
		return err
	}
	return do(c)
}

// signInAgain replaces the stored token that c uses by a fresh one, made with the password, and returns a client with it.
func signInAgain(ctx context.Context, env *Env, c *client.Client, stdin bool) (*client.Client, error) {
	org, err := c.Organization(ctx)
	if err != nil {
		return nil, err
	}
	cfg, err := openConfig()
	if err != nil {
		return nil, err
	}
	s, ok := cfg.find(c.URL(), org)
	if !ok {
		return nil, safepoint.Errorf(safepoint.CodeStepUp, "The server wants your password again, and this token is not one that safepoint login made.").
			WithHint("Run safepoint login %s, then this command again.", c.URL())
	}
	again := loginCmd{URL: s.URL, Email: s.Email, Organization: org, PasswordStdin: stdin}
	if _, err := again.signIn(ctx, env, cfg); err != nil {
		return nil, err
	}
	if err := c.RevokeToken(ctx, s.TokenID); err != nil && !env.JSON {
		fmt.Fprintf(env.Err, "safepoint: the earlier token was not revoked: %s\n", shown(err).Message)
	}
	return Remote{URL: s.URL, Organization: org}.connect(ctx)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

type logoutCmd struct {
	Remote
	All bool `help:"Forget every server and organization."`
}

func (cmd *logoutCmd) Run(ctx context.Context, env *Env) error {
	cfg, err := openConfig()
	if err != nil {
		return err
	}
	var gone []signIn
	if s, ok := cfg.find(strings.TrimSuffix(cmd.URL, "/"), cmd.Organization); ok {
		gone = []signIn{s}
	}
	if cmd.All {
		gone = append([]signIn(nil), cfg.SignIns...)
	}
	var forgotten []string
	for _, s := range gone {
		c, err := client.New(client.Config{URL: s.URL, Token: s.Token, Organization: s.OrganizationID})
		if err == nil {
			err = c.RevokeToken(ctx, s.TokenID)
		}
		if err != nil && !env.JSON {
			fmt.Fprintf(env.Err, "safepoint: the token for %s is forgotten here, but was not revoked: %s\n", s.OrganizationName, shown(err).Message)
		}
		cfg.drop(s)
		forgotten = append(forgotten, s.OrganizationName+" at "+s.URL)
	}
	if err := cfg.save(); err != nil {
		return err
	}
	return env.print(map[string]any{"signed_out": forgotten}, func(w ioWriter) {
		for _, f := range forgotten {
			fmt.Fprintf(w, "Signed out of %s.\n", f)
		}
		if len(forgotten) == 0 {
			fmt.Fprintln(w, "You were not signed in.")
		}
	})
}
