// Package kinds is the one list of what this program can back up, store into and halt. A new kind is a folder and a
// line here; nothing registers itself.
package kinds

import (
	"context"
	"io"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/postgres"
	"github.com/safepoint-db/safepoint/internal/engine/sqlite"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/command"
	"github.com/safepoint-db/safepoint/internal/halt/docker"
	"github.com/safepoint-db/safepoint/internal/halt/health"
	"github.com/safepoint-db/safepoint/internal/halt/kubernetes"
	"github.com/safepoint-db/safepoint/internal/halt/pgbouncer"
	"github.com/safepoint-db/safepoint/internal/halt/systemd"
	"github.com/safepoint-db/safepoint/internal/halt/webhook"
	"github.com/safepoint-db/safepoint/internal/storage/local"
)

// Engine is the engine of a database family, false for one that is not known.
func Engine(family safepoint.Engine) (engine.Engine, bool) {
	switch family {
	case safepoint.PostgreSQL:
		return postgres.Engine{}, true
	case safepoint.SQLite:
		return &sqlite.Engine{}, true
	}
	return nil, false
}

// WithJobs is e with so many sessions beside one another in a dump or load, where its family has that; 0 is the default.
func WithJobs(e engine.Engine, jobs int) engine.Engine {
	if p, ok := e.(postgres.Engine); ok {
		p.Jobs = jobs
		return p
	}
	return e
}

// WithOrigin is e that treats files of unknown origin so, where its family tells them from others.
func WithOrigin(e engine.Engine, policy engine.UnknownOrigin) engine.Engine {
	if p, ok := e.(postgres.Engine); ok {
		p.Unknown = policy
		return p
	}
	return e
}

// WithPrograms is e with folders in which its family's client programs are looked for first.
func WithPrograms(e engine.Engine, dirs []string) engine.Engine {
	if p, ok := e.(postgres.Engine); ok {
		p.Programs = dirs
		return p
	}
	return e
}

// Unpack is what writes a dump in pg_dump's own formats, at a path, as plain SQL, with client programs that are looked for
// first in dirs. See postgres.Engine.Unpack.
func Unpack(dirs []string) func(ctx context.Context, path string) (io.ReadCloser, error) {
	return postgres.Engine{Programs: dirs}.Unpack
}

// Halter is what halts and resumes s; secret is its secret in the clear. What is wrong with s is CodeInvalid.
func Halter(s safepoint.Service, secret string) (halt.Halter, error) {
	switch s.Kind {
	case safepoint.ServiceWebhook:
		return webhook.New(s, secret)
	case safepoint.ServicePgBouncer:
		return pgbouncer.New(s, secret)
	}
	h, err := hostHalter(s)
	if err != nil {
		return nil, err
	}
	return health.With(h, s)
}

// hostHalter is what halts and resumes a service of the operator's file. A service from anywhere else has no Operator,
// and is refused by each of these.
func hostHalter(s safepoint.Service) (halt.Halter, error) {
	switch s.Kind {
	case safepoint.ServiceSystemd:
		return systemd.New(s)
	case safepoint.ServiceDocker:
		return docker.New(s)
	case safepoint.ServiceKubernetes:
		return kubernetes.New(s)
	case safepoint.ServiceCommand:
		return command.New(s)
	}
	return nil, safepoint.Invalid("kind", "Services of kind %q are not known here.", s.Kind)
}

// LocalStorage keeps backups in a folder of this machine. The caller closes it.
func LocalStorage(dir string) (*local.Storage, error) { return local.Open(dir) }
