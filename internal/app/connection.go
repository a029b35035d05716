package app

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// connection is what a person entered, checked.
type connection struct {
	database safepoint.Database // without ID and name
	password *string            // nil: not entered
	findings []engine.Finding   // what was understood in another way than it was written
}

func (c connection) secret() string {
	if c.password == nil {
		return ""
	}
	return *c.password
}

// connection reads and checks how to reach a database.
func (a *App) connection(in DatabaseInput) (connection, error) {
	c := connection{password: in.Password}
	if in.URL != "" {
		if err := c.readURL(&in); err != nil {
			return c, err
		}
	}
	switch in.Engine {
	case safepoint.PostgreSQL:
		return c, c.postgres(in)
	case safepoint.SQLite:
		return c, c.sqlite(in, a.LocalPaths)
	case "":
		return c, safepoint.Invalid("engine", "Choose PostgreSQL or SQLite.")
	}
	return c, safepoint.Invalid("engine", "Safepoint cannot work with %s yet. Choose PostgreSQL or SQLite.", in.Engine)
}

// readURL fills the connection fields of in from its URL. Parse errors are not passed on: they quote the password.
func (c *connection) readURL(in *DatabaseInput) error {
	const like = "Enter an address such as postgres://user@host:5432/name or sqlite:///path/to/file."
	u, err := url.Parse(strings.TrimSpace(in.URL))
	if err != nil {
		return safepoint.Invalid("url", "This address cannot be read. %s", like).WithHint("Write signs of a password such as @, / and # as %%40, %%2F and %%23.")
	}
	in.Host, in.Port, in.User, in.DBName, in.Path, in.TLS = "", 0, "", "", "", ""
	switch u.Scheme {
	case "postgres", "postgresql":
		in.Engine = safepoint.PostgreSQL
	case "sqlite", "sqlite3", "file":
		in.Engine = safepoint.SQLite
		in.Path = u.Path
		if u.Host != "" || u.Opaque != "" || u.RawQuery != "" {
			return safepoint.Invalid("url", "Enter a SQLite file with three slashes and nothing behind it: sqlite:///path/to/file.")
		}
		return nil
	default:
		return safepoint.Invalid("url", "%s", like)
	}
	in.Host, in.User, in.DBName = u.Hostname(), u.User.Username(), strings.TrimPrefix(u.Path, "/")
	if p, ok := u.User.Password(); ok {
		c.password = &p
	}
	if u.Port() != "" {
		if in.Port, err = strconv.Atoi(u.Port()); err != nil {
			return safepoint.Invalid("url", "This port is not a number.")
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return safepoint.Invalid("url", "This address cannot be read. %s", like)
	}
	for name, values := range query {
		value := values[len(values)-1]
		switch name {
		case "sslmode":
			in.TLS = safepoint.TLSMode(value)
		case "host":
			in.Host = value
		case "port":
			if in.Port, err = strconv.Atoi(value); err != nil {
				return safepoint.Invalid("url", "This port is not a number.")
			}
		case "user":
			in.User = value
		case "password":
			c.password = &value
		case "dbname":
			in.DBName = value
		case "connect_timeout", "application_name", "channel_binding", "gssencmode":
			// Ours to choose.
		default:
			return safepoint.Invalid("url", "Safepoint does not know the parameter %s in this address.", shorten(name, 40)).
				WithHint("Leave it out. A certificate authority has a field of its own.")
		}
	}
	return nil
}

func (c *connection) postgres(in DatabaseInput) error {
	d := &c.database
	*d = safepoint.Database{Engine: safepoint.PostgreSQL, Host: strings.TrimSpace(in.Host), User: in.User, DBName: in.DBName, CACert: strings.TrimSpace(in.CACert)}
	if d.Host == "" {
		return safepoint.Invalid("host", "Enter the server's host name, its address, or the folder of its Unix socket.")
	}
	if !isSocket(d.Host) {
		if err := checkHost("host", d.Host); err != nil {
			return err
		}
		d.Host = strings.Trim(d.Host, "[]")
	}
	var err error
	if d.Port, err = checkPort(in.Port, 5432); err != nil {
		return err
	}
	if err := checkIdentifier("user", d.User, "Enter the role to connect as."); err != nil {
		return err
	}
	if d.DBName == "" && in.URL != "" {
		d.DBName = d.User // as libpq reads such an address
	}
	if err := checkIdentifier("dbname", d.DBName, "Enter the name of the database on its server."); err != nil {
		return err
	}
	if strings.ContainsRune(c.secret(), 0) {
		return safepoint.Invalid("password", "A password cannot hold a NUL character.")
	}
	if err := c.tls(in.TLS); err != nil {
		return err
	}
	return checkCACert(d.CACert)
}

// tls chooses how the connection is encrypted. Modes that fall back to clear text are never used: over a network they
// become verify-full; on this machine, where nobody is on the way, the connection is in the clear.
func (c *connection) tls(mode safepoint.TLSMode) error {
	d := &c.database
	local := isSocket(d.Host) || isLoopback(d.Host)
	switch mode {
	case safepoint.TLSVerifyFull, safepoint.TLSVerifyCA, safepoint.TLSRequire:
		if isSocket(d.Host) {
			return safepoint.Invalid("tls", "A Unix socket is never encrypted. Choose disable.")
		}
		d.TLS = mode
	case safepoint.TLSDisable:
		d.TLS = mode
	case "", "prefer", "allow":
		d.TLS = safepoint.TLSVerifyFull
		if local {
			d.TLS = safepoint.TLSDisable
		}
		if mode != "" && !local {
			c.findings = append(c.findings, engine.Found(safepoint.Errorf(safepoint.CodeTLS, "sslmode=%s can fall back to clear text, so verify-full is used instead.", mode).
				WithHint("If the server's certificate is not from a known authority, add that authority's certificate or choose require.")))
		}
	default:
		return safepoint.Invalid("tls", "Choose verify-full, verify-ca, require or disable.")
	}
	return nil
}

// isSocket says whether a host is the folder of a Unix socket.
func isSocket(host string) bool { return strings.HasPrefix(host, "/") }

// checkIdentifier accepts whatever PostgreSQL does: 1 to 63 bytes without NUL.
func checkIdentifier(field, name, empty string) error {
	switch {
	case name == "":
		return safepoint.Invalid(field, "%s", empty)
	case len(name) > 63 || strings.ContainsRune(name, 0):
		return safepoint.Invalid(field, "PostgreSQL's names have at most 63 bytes.")
	}
	return nil
}

func checkCACert(text string) error {
	if text == "" {
		return nil
	}
	if len(text) > 256<<10 {
		return safepoint.Invalid("ca_cert", "This is longer than any list of certificates needs to be.")
	}
	for rest := []byte(text); len(strings.TrimSpace(string(rest))) > 0; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" {
			return safepoint.Invalid("ca_cert", "Enter a certificate in PEM form: it begins with -----BEGIN CERTIFICATE-----.")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return safepoint.Invalid("ca_cert", "This certificate cannot be read.")
		}
	}
	return nil
}

func (c *connection) sqlite(in DatabaseInput, allowed func(string) error) error {
	path := in.Path
	switch {
	case path == "":
		return safepoint.Invalid("path", "Enter the path of the database's file.")
	case !filepath.IsAbs(path):
		return safepoint.Invalid("path", "Enter the whole path, from / on.")
	case strings.ContainsRune(path, 0):
		return safepoint.Invalid("path", "A path cannot hold a NUL character.")
	}
	path = filepath.Clean(path)
	if err := allowed(path); err != nil {
		return err
	}
	c.database = safepoint.Database{Engine: safepoint.SQLite, Path: path}
	c.password = nil
	return nil
}

// notOfOthers refuses a SQLite file that is another organization's database already. A server asks for a password; a file
// does not, and whoever may name it could read it, and restore over it.
func (a *App) notOfOthers(ctx context.Context, by safepoint.Actor, d safepoint.Database) error {
	if d.Engine != safepoint.SQLite {
		return nil
	}
	all, err := a.Catalog.AllDatabases(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Engine == safepoint.SQLite && other.OrganizationID != by.OrganizationID && sameFile(other.Path, d.Path) {
			return safepoint.Invalid("path", "This file cannot be used here.").WithHint("Ask whoever operates this server to whom it belongs.")
		}
	}
	return nil
}

// sameFile says whether two paths lead to one file, there or not.
func sameFile(a, b string) bool {
	if a, b = resolve(a), resolve(b); a == b {
		return true
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
