package kinds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

func TestParseURL(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	pg := func(fn func(*engine.Target)) engine.Target {
		want := engine.Target{Engine: safepoint.PostgreSQL, Host: "db.example", Port: 5432, User: "u", Name: "shop", TLS: safepoint.TLSVerifyFull}
		fn(&want)
		return want
	}
	for url, want := range map[string]engine.Target{
		"postgres://u@db.example/shop":                      pg(func(*engine.Target) {}),
		"postgresql://u:p%40ss:w@db.example:6543/shop":      pg(func(t *engine.Target) { t.Port, t.Password = 6543, "p@ss:w" }),
		"postgres://u@db.example/shop?sslmode=require":      pg(func(t *engine.Target) { t.TLS = safepoint.TLSRequire }),
		"postgres://u@127.0.0.1/shop":                       pg(func(t *engine.Target) { t.Host, t.TLS = "127.0.0.1", safepoint.TLSDisable }),
		"postgres://u@[::1]:7/shop":                         pg(func(t *engine.Target) { t.Host, t.Port, t.TLS = "::1", 7, safepoint.TLSDisable }),
		"postgres://u@/shop?host=/var/run/postgresql":       pg(func(t *engine.Target) { t.Host, t.TLS = "/var/run/postgresql", safepoint.TLSDisable }),
		"postgres://u@db.example/a=b":                       pg(func(t *engine.Target) { t.Name = "a=b" }),
		"postgres://u@db.example/-x":                        pg(func(t *engine.Target) { t.Name = "-x" }),
		"postgres://u@db.example/postgresql:%2F%2Fh%2Fd%3F": pg(func(t *engine.Target) { t.Name = "postgresql://h/d?" }),
		"sqlite:///srv/shop.db":                             {Engine: safepoint.SQLite, Path: "/srv/shop.db", Name: "shop.db"},
		"sqlite:///srv/a%20b%3F.db":                         {Engine: safepoint.SQLite, Path: "/srv/a b?.db", Name: "a b?.db"},
		"sqlite:shop.db":                                    {Engine: safepoint.SQLite, Path: filepath.Join(wd, "shop.db"), Name: "shop.db"},
	} {
		got, err := ParseURL(url)
		if err != nil || got != want {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", url, got, err, want)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, url := range []string{
		"", "shop.db", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h/", "postgres://u:hunter2@h:0/d", "postgres://u:hunter2@h:x/d",
		"postgres://u:hunter2@h/d?sslmode=prefer", "postgres://u:hunter2@h/d?options=-cx", "postgres://u:hunter2@h/d?sslrootcert=/no/such/file",
		"postgres:u:hunter2@h", "sqlite://shop.db", "sqlite:", "sqlite:///a%zz",
	} {
		_, err := ParseURL(url)
		if safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("%q: got %v, want an error with code invalid", url, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the password is in the error: %v", url, err)
		}
	}
}
