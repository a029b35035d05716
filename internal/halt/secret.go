package halt

import (
	"crypto/rand"
	"encoding/base64"
)

// NewSecret makes a signing secret in the form of the Standard Webhooks scheme: "whsec_" and 32 random bytes in base64.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return "whsec_" + base64.StdEncoding.EncodeToString(b[:])
}
