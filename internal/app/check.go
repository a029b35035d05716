package app

import (
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/egress"
)

// checkName trims a name that people gave to something and checks its length: 1 to 80 characters on one line.
func checkName(field, name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", safepoint.Invalid(field, "Enter a name.")
	case utf8.RuneCountInString(name) > 80:
		return "", safepoint.Invalid(field, "Use at most 80 characters.")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "", safepoint.Invalid(field, "Use letters, digits and signs on one line.")
	}
	return name, nil
}

// checkEmail returns an address in lower case.
func checkEmail(email string) (string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || len(email) > 254 {
		return "", safepoint.Invalid("email", "Enter an e-mail address such as ines@example.org.")
	}
	return email, nil
}

// checkHost refuses hosts that no database or service of anybody has: link-local and cloud metadata addresses,
// multicast, "any", and numbers that only some resolvers take for an address. What a name resolves to is checked
// by whoever connects (package egress).
func checkHost(field, host string) error {
	bare := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
	if bare == "" || strings.ContainsFunc(bare, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) || strings.ContainsAny(bare, "/@,?#") {
		return safepoint.Invalid(field, "Enter a host name or an address.")
	}
	refused := safepoint.Invalid(field, "%s cannot be used: it is a link-local, metadata or multicast address.", host)
	addr, err := netip.ParseAddr(bare)
	if err != nil {
		last := bare[strings.LastIndexByte(bare, '.')+1:]
		if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.HasPrefix(strings.ToLower(last), "0x") {
			return safepoint.Invalid(field, "Write the address with four numbers, such as 192.0.2.7.")
		}
		if strings.EqualFold(bare, "metadata.google.internal") {
			return refused
		}
		return nil
	}
	if egress.Check(addr) != nil {
		return refused
	}
	return nil
}

// isLoopback says whether a host is this machine by its spelling alone.
func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

func checkPort(port, otherwise int) (int, error) {
	if port == 0 {
		port = otherwise
	}
	if port < 1 || port > 65535 {
		return 0, safepoint.Invalid("port", "Use a port between 1 and 65535.")
	}
	return port, nil
}
