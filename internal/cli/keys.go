package cli

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// Trust is whose signature a file must carry, and what opens it where it is encrypted.
type Trust struct {
	Identity []string `placeholder:"FILE" help:"Open an encrypted backup with a key in this file, as made by safepoint key new or age-keygen; default: the file that $SAFEPOINT_IDENTITY_FILE names."`
	Key      []string `type:"existingfile" placeholder:"FILE" help:"Only accept files signed with this key: a PEM file, public or private, such as signing.key of a data directory. Without it, who signed is not checked."`
}

func (t Trust) trust() (archive.Trust, error) {
	if len(t.Key) == 0 {
		return archive.Trust{Unsigned: true}, nil
	}
	var out archive.Trust
	for _, path := range t.Key {
		private, public, err := readKey(path)
		if err != nil {
			return out, err
		}
		if private != nil {
			public = private.Public().(ed25519.PublicKey)
		}
		out.Keys = append(out.Keys, public)
	}
	return out, nil
}

// privateKey reads a key that can sign.
func privateKey(path string) (ed25519.PrivateKey, error) {
	key, _, err := readKey(path)
	if err == nil && key == nil {
		err = safepoint.Errorf(safepoint.CodeInvalid, "%s is a public key: signing needs the private one.", path).
			WithHint("Name signing.key of a data directory, or another private key in PEM form.")
	}
	return key, err
}

// readKey reads an Ed25519 key from a PEM file: PKCS #8 if private, PKIX if public. One of the two is nil.
func readKey(path string) (ed25519.PrivateKey, ed25519.PublicKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fileError(err, path)
	}
	if block, _ := pem.Decode(data); block != nil {
		if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if private, ok := k.(ed25519.PrivateKey); ok {
				return private, nil, nil
			}
		}
		if k, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if public, ok := k.(ed25519.PublicKey); ok {
				return nil, public, nil
			}
		}
	}
	return nil, nil, safepoint.Errorf(safepoint.CodeInvalid, "%s holds no Ed25519 key in PEM form.", path).
		WithHint("Name signing.key of a data directory, or its public key as openssl pkey -pubout writes it.")
}
