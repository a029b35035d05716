package kinds

import (
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// ParseURL reads "postgres://user:password@host:port/name?sslmode=…&sslrootcert=FILE&host=SOCKET-FOLDER",
// "sqlite:///absolute/path" or "sqlite:path". The name is what stands between the slash and the question mark,
// percent-decoded and never interpreted. Its errors are CodeInvalid on the field "url" and never hold the URL.
func ParseURL(s string) (engine.Target, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	switch {
	case ok && (scheme == "postgres" || scheme == "postgresql"):
		return parsePostgres(s)
	case ok && scheme == "sqlite":
		return parseSQLite(rest)
	}
	return engine.Target{}, invalid("This is not the URL of a database.")
}

func invalid(format string, args ...any) error {
	return safepoint.Invalid("url", format, args...).
		WithHint("It looks like postgres://user@host:5432/name or sqlite:///path/to/file.db.")
}

// parseSQLite takes the path as it is written, "?" and "%" included, unless it is written as a URL with "//".
func parseSQLite(rest string) (engine.Target, error) {
	path := rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		var err error
		if path, err = url.PathUnescape(after); err != nil {
			return engine.Target{}, invalid("The path in the URL is not written correctly.")
		}
		if !strings.HasPrefix(path, "/") {
			return engine.Target{}, invalid("After sqlite:// stands an absolute path, so there are three slashes.")
		}
	}
	if path == "" || strings.ContainsRune(path, 0) {
		return engine.Target{}, invalid("The URL names no file.")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return engine.Target{}, invalid("The path in the URL cannot be used.")
	}
	return engine.Target{Engine: safepoint.SQLite, Path: path, Name: filepath.Base(path)}, nil
}

func parsePostgres(s string) (engine.Target, error) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Fragment != "" {
		return engine.Target{}, invalid("The URL is not written correctly.")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return engine.Target{}, invalid("What follows the question mark in the URL is not written correctly.")
	}
	t := engine.Target{Engine: safepoint.PostgreSQL, Host: u.Hostname(), Port: 5432, Name: strings.TrimPrefix(u.Path, "/")}
	if h := q.Get("host"); h != "" {
		t.Host = h
	}
	if t.Host == "" {
		t.Host = "localhost"
	}
	port := u.Port()
	if p := q.Get("port"); p != "" {
		port = p
	}
	if port != "" {
		if t.Port, err = strconv.Atoi(port); err != nil || t.Port < 1 || t.Port > 65535 {
			return engine.Target{}, invalid("The port in the URL is not a number from 1 to 65535.")
		}
	}
	t.Password, _ = u.User.Password()
	if t.User = u.User.Username(); t.User == "" {
		t.User = systemUser()
	}
	if t.Name == "" {
		return engine.Target{}, invalid("The URL names no database.")
	}
	return withTLS(t, q)
}

func withTLS(t engine.Target, q url.Values) (engine.Target, error) {
	for key := range q {
		switch key {
		case "host", "port", "sslmode", "sslrootcert":
		default:
			return engine.Target{}, invalid("%q in the URL is not known here.", key)
		}
	}
	t.TLS = safepoint.TLSMode(q.Get("sslmode"))
	switch t.TLS {
	case "":
		t.TLS = defaultTLS(t.Host)
	case safepoint.TLSVerifyFull, safepoint.TLSVerifyCA, safepoint.TLSRequire, safepoint.TLSDisable:
	default:
		return engine.Target{}, safepoint.Invalid("url", "The TLS mode in the URL is not known here.").
			WithHint("Choose sslmode verify-full, verify-ca, require or disable; nothing falls back to clear text by itself.")
	}
	if file := q.Get("sslrootcert"); file != "" && file != "system" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return engine.Target{}, safepoint.Invalid("url", "The certificate file in the URL cannot be read.").WithCause(err)
		}
		t.CACert = string(pem)
	}
	return t, nil
}

// defaultTLS encrypts and checks everything that leaves this machine.
func defaultTLS(host string) safepoint.TLSMode {
	if strings.HasPrefix(host, "/") || host == "localhost" || host == "127.0.0.1" || host == "::1" {
		return safepoint.TLSDisable
	}
	return safepoint.TLSVerifyFull
}

func systemUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "postgres"
}
