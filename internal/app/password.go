package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/safepoint-db/safepoint"
)

// Cost of a password's hash: OWASP's second choice for argon2id. A stored hash of less is made anew at sign-in.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32 // bytes
	argonSalt    = 16 // bytes
)

// hashPassword makes an argon2id hash as a PHC string. It waits for its turn.
func (a *App) hashPassword(ctx context.Context, password string) (string, error) {
	if err := a.hashTurn(ctx); err != nil {
		return "", err
	}
	defer func() { <-a.hashing }()
	return argonHash(password), nil
}

func argonHash(password string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// nobody is a hash that no password is known of. Checking against it takes as long as against a real one.
var nobody = sync.OnceValue(func() string { return argonHash(rand.Text()) })

// checkPassword says whether a password is the one of a hash. For the empty hash it takes as long and says no.
func (a *App) checkPassword(ctx context.Context, hash, password string) (bool, error) {
	if err := a.hashTurn(ctx); err != nil {
		return false, err
	}
	defer func() { <-a.hashing }()
	known := hash != ""
	if !known {
		hash = nobody()
	}
	p, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	key := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(key, p.key) == 1 && known, nil
}

func (a *App) hashTurn(ctx context.Context) error {
	select {
	case a.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// phc is a parsed argon2id hash.
type phc struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func parseHash(hash string) (p phc, err error) {
	bad := fmt.Errorf("stored password hash is not argon2id")
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil || p.time == 0 || p.threads == 0 {
		return p, bad
	}
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return p, bad
	}
	if p.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(p.key) == 0 {
		return p, bad
	}
	return p, nil
}

// isWeak says whether a hash was made with less than today's cost.
func isWeak(hash string) bool {
	p, err := parseHash(hash)
	return err == nil && (p.memory < argonMemory || p.time < argonTime)
}

//go:embed passwords.txt
var commonText string

// commonPasswords are long passwords that are tried first by whoever guesses.
var commonPasswords = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(commonText) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all[line] = true
		}
	}
	return all
})

// checkNewPassword says what is wrong with a password that somebody chose.
func checkNewPassword(password, email, name string) error {
	n := utf8.RuneCountInString(password)
	switch {
	case n < 12:
		return safepoint.Invalid("password", "Use at least 12 characters. A few words are easy to remember.")
	case n > 128:
		return safepoint.Invalid("password", "Use at most 128 characters.")
	case !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		return safepoint.Invalid("password", "This password has characters that cannot be used.")
	}
	lower := strings.ToLower(password)
	if commonPasswords()[lower] || isMonotone(lower) {
		return safepoint.Invalid("password", "This password is among the first that are guessed. Choose another.")
	}
	local, _, _ := strings.Cut(email, "@")
	own := append(strings.FieldsFunc(local, notLetter), strings.Fields(strings.ToLower(name))...)
	rest := lower
	for _, part := range append([]string{email, local}, own...) {
		if len(part) >= 3 {
			rest = strings.ReplaceAll(rest, strings.ToLower(part), "")
		}
	}
	if rest != lower && utf8.RuneCountInString(rest) < 8 {
		return safepoint.Invalid("password", "This password is mostly your name or address. Choose another.")
	}
	return nil
}

func notLetter(r rune) bool { return !('a' <= r && r <= 'z' || r > 127) }

// isMonotone says whether a password is one short piece again and again, or characters in a row such as "abcdefghijkl".
func isMonotone(s string) bool {
	runes := []rune(s)
	for size := 1; size <= 4 && size < len(runes); size++ {
		if slices.Equal(runes[size:], runes[:len(runes)-size]) {
			return true
		}
	}
	for _, row := range []string{"abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "98765432109876543210", "qwertyuiopasdfghjklzxcvbnm"} {
		if strings.Contains(row, s) {
			return true
		}
	}
	return false
}

// newSecret makes 256 random bits for a session, a link: base64url.
func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// hashSecret is how a random secret is stored. It needs no salt or cost: nobody can guess 128 bits.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
