package safepoint

import (
	"crypto/rand"
	"strings"
)

// Prefixes of identifiers. An ID is its prefix, "_", and 16 characters of base32: 80 random bits.
const (
	OrganizationPrefix = "org"
	UserPrefix         = "usr"
	DatabasePrefix     = "db"
	ServicePrefix      = "svc"
	SchedulePrefix     = "sch"
	OperationPrefix    = "op"
	TokenPrefix        = "tok"
	PasskeyPrefix      = "pky"
	RecipientPrefix    = "rcp"
	AuditPrefix        = "aud"
)

// NewID makes an identifier that nobody can guess, such as "op_k3jq7w2mfz5xv4na".
func NewID(prefix string) string {
	return prefix + "_" + strings.ToLower(rand.Text()[:16])
}
