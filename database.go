package safepoint

import (
	"slices"
	"time"
)

// Engine is a database family.
type Engine string

const (
	PostgreSQL Engine = "postgres"
	SQLite     Engine = "sqlite"
)

// Label is the family's name as people write it.
func (e Engine) Label() string {
	switch e {
	case PostgreSQL:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	}
	return string(e)
}

// TLSMode says how a server connection is encrypted. The names are libpq's, without those that fall back to clear text.
type TLSMode string

const (
	TLSVerifyFull TLSMode = "verify-full" // certificate and host name are checked; the default over a network
	TLSVerifyCA   TLSMode = "verify-ca"   // certificate is checked, host name is not
	TLSRequire    TLSMode = "require"     // encrypted, certificate not checked
	TLSDisable    TLSMode = "disable"     // in the clear: for a Unix socket or this machine
)

// WeakerThan says whether a connection of this mode keeps a password less safe than one of the other.
func (m TLSMode) WeakerThan(other TLSMode) bool {
	order := []TLSMode{TLSDisable, TLSRequire, TLSVerifyCA, TLSVerifyFull}
	return slices.Index(order, m) < slices.Index(order, other)
}

// Database is a connection to one database of one engine. Its password is sealed and never part of it.
type Database struct {
	ID             string
	OrganizationID string
	Name           string // what people call it here; unique in the organization
	Engine         Engine
	Host           string // PostgreSQL: a name, an address, or a Unix socket's folder
	Port           int
	User           string
	DBName         string // PostgreSQL: the database's own name
	TLS            TLSMode
	CACert         string // PEM, with verify-ca and verify-full; "" means the system's
	Path           string // SQLite: the file
	HasPassword    bool
	InstantSwitch  bool   // restores start with RestoreInstant unless they say otherwise
	ServerVersion  string // as last seen, such as "15.18"; "" if never reached
	CreatedAt      time.Time
	CreatedBy      string
	CreatedByName  string
	Version        int // grows with each change; an edit names the one it started from
}

// Connected says whether it is known how to reach the database. One whose backups were found after the catalog was lost
// has no connection until a person adds it.
func (d Database) Connected() bool { return d.Host != "" || d.Path != "" }

// Label is the database's own name: what a restore's confirmation asks to be typed.
func (d Database) Label() string { return d.Name }
