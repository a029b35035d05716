package cli

import (
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestValues reads what the flags take: lists, repeated flags, variables, and what the command line says instead of them.
func TestValues(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, file := range []string{a, b} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SAFEPOINT_LOG_LEVEL", "loud") // does not count where the flag is given
	t.Setenv("SAFEPOINT_FOREIGN_MAX_SQL", "2 GiB")
	var c commands
	p, err := newCommandLine(&c, &Env{Out: io.Discard, Err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse([]string{"serve", "--data", dir, "--log-level", "warn", "--trusted-proxies", "10.0.0.0/8, ::1,10.9.0.1", "--pg-bin", dir + ":/", "--pg-bin", "/etc"}); err != nil {
		t.Fatal(err)
	}
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("10.9.0.1/32")}
	if s := c.Serve; s.LogLevel != slog.LevelWarn || !slices.Equal(s.TrustedProxies, proxies) || !slices.Equal(s.PgBin, []string{dir, "/", "/etc"}) || s.ForeignMax.MaxSQL != 2<<30 || s.ForeignMax.MaxSize != 64<<30 {
		t.Errorf("serve got the level %v, the proxies %v, the folders %v, and the sizes %d and %d", s.LogLevel, s.TrustedProxies, s.PgBin, s.ForeignMax.MaxSQL, s.ForeignMax.MaxSize)
	}
	if _, err := p.Parse([]string{"verify", "--key", a, "--key", b, "x"}); err != nil || !slices.Equal(c.Verify.Key, []string{a, b}) {
		t.Errorf("verify got the keys %v: %v", c.Verify.Key, err)
	}
}
