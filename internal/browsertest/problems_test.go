package browsertest

import "testing"

func TestOtherHost(t *testing.T) {
	for _, c := range []struct {
		page, address string
		other         bool
	}{
		{"http://127.0.0.1:8321/backups", "http://127.0.0.1:8321/static/app.css", false},
		{"http://127.0.0.1:8321/backups", "data:image/svg+xml,x", false},
		{"http://127.0.0.1:8321/backups", "https://fonts.example/inter.woff2", true},
		{"http://127.0.0.1:8321/backups", "http://127.0.0.1:9/x", true},
		{"http://127.0.0.1:8321/backups", "wss://live.example/", true},
	} {
		if got := otherHost(c.page, c.address) != ""; got != c.other {
			t.Errorf("%s from %s: %v", c.address, c.page, got)
		}
	}
}
