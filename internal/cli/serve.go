package cli

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/foreign"
	"github.com/safepoint-db/safepoint/internal/server"
)

type serveCmd struct {
	Data           string         `required:"" type:"path" env:"SAFEPOINT_DATA" placeholder:"DIR" help:"The data directory: catalog, keys, backups. Made if it is not there."`
	Addr           string         `default:"${addr}" env:"SAFEPOINT_ADDR" help:"Where to listen."`
	TLSCert        string         `type:"existingfile" env:"SAFEPOINT_TLS_CERT" placeholder:"FILE" help:"Serve HTTPS with this certificate (PEM, with its chain)."`
	TLSKey         string         `type:"existingfile" env:"SAFEPOINT_TLS_KEY" placeholder:"FILE" help:"The certificate's private key (PEM)."`
	BaseURL        string         `env:"SAFEPOINT_BASE_URL" placeholder:"URL" help:"How browsers reach the console, such as https://backup.example, where a proxy stands before it."`
	Support        string         `env:"SAFEPOINT_SUPPORT" placeholder:"CONTACT" help:"Whom people may ask for help, shown in the console's help, on its error pages and at sign-in: words, a mail address or a URL."`
	TrustedProxies []netip.Prefix `env:"SAFEPOINT_TRUSTED_PROXIES" placeholder:"CIDR" help:"Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, such as 10.0.0.0/8."`
	HostServices
	Programs
	ForeignFiles bool          `env:"SAFEPOINT_FOREIGN_FILES" help:"Let organizations upload and restore files that this Safepoint did not make: their statements are of unknown origin."`
	ForeignMax   foreignLimits `embed:"" prefix:"foreign-"`
	Logging
}

// HostServices is the operator's file of services.
type HostServices struct {
	Services string `type:"path" env:"SAFEPOINT_SERVICES" placeholder:"FILE" help:"Services of this machine that restores halt: systemd units, containers, Kubernetes workloads, commands (TOML, see docs/services.md)."`
}

// foreignLimits bound files that are uploaded.
type foreignLimits struct {
	MaxSize      sizeFlag `default:"64GiB" env:"SAFEPOINT_FOREIGN_MAX_SIZE" help:"Largest file that may be uploaded."`
	MaxSQL       sizeFlag `name:"max-sql" default:"1TiB" env:"SAFEPOINT_FOREIGN_MAX_SQL" help:"Most SQL that may come out of a foreign dump."`
	MaxRatio     int64    `default:"500" env:"SAFEPOINT_FOREIGN_MAX_RATIO" help:"How many times as much SQL as the file has bytes."`
	MaxStatement sizeFlag `default:"64MiB" env:"SAFEPOINT_FOREIGN_MAX_STATEMENT" help:"Longest statement, which is held in memory."`
}

func (cmd *serveCmd) uploads() app.Uploads {
	m := cmd.ForeignMax
	return app.Uploads{Foreign: cmd.ForeignFiles, MaxSize: int64(m.MaxSize),
		Limits: foreign.Limits{SQL: int64(m.MaxSQL), Ratio: m.MaxRatio, Statement: int(min(m.MaxStatement, 1<<30))}}
}

func (cmd *serveCmd) Run(ctx context.Context, env *Env) error {
	defer collectSeldom()()
	s, err := server.Open(ctx, server.Config{
		DataDir: cmd.Data, Addr: cmd.Addr, TLSCert: cmd.TLSCert, TLSKey: cmd.TLSKey, BaseURL: cmd.BaseURL, Support: cmd.Support,
		TrustedProxies: cmd.TrustedProxies, Programs: cmd.PgBin, Services: cmd.Services, Uploads: cmd.uploads(), Version: Version, Log: cmd.logger(env),
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "Safepoint %s on %s\n", Version, s.URL())
	if s.SetupCode() != "" {
		fmt.Fprintf(env.Out, "No account exists yet. Open %s/setup and enter this code within 30 minutes: %s\n", s.URL(), s.SetupCode())
		fmt.Fprintf(env.Out, "Backups made here are signed as %s. Write it down: it tells them from others if this data directory is ever lost.\n", s.Signer())
	}
	err = s.Run(ctx)
	if ctx.Err() != nil && err == nil {
		return nil // asked to stop, and stopped: that is success
	}
	return err
}
