package process

import (
	"strings"
	"testing"
)

// What a program was given is not in its last words, however they are cut.
func TestSecretsInOutput(t *testing.T) {
	secrets := func() []string { return []string{"hunter2", "hunter2-and-more", "s3cr3t-of-the-shop"} }
	for name, c := range map[string]struct{ wrote, want string }{
		"one begins as the other": {"token hunter2-and-more, then hunter2", "token …, then …"},
		"cut in a secret":         {"s3cr3t-of-the-shop" + strings.Repeat("x", maxOutput-7), strings.Repeat("x", 40)},
		"not cut":                 {"shop is down", "shop is down"},
	} {
		var out tail
		if _, err := out.Write([]byte(c.wrote)); err != nil {
			t.Fatal(err)
		}
		if got := out.line(secrets()); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
