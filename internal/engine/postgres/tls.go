package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// onSocket says that the server is reached through a Unix socket, which never leaves this machine.
func onSocket(t engine.Target) bool { return strings.HasPrefix(t.Host, "/") }

// tlsConfig is how the session is encrypted; nil is in the clear. There is no falling back from one to the other.
func tlsConfig(t engine.Target) (*tls.Config, error) {
	if onSocket(t) || t.TLS == safepoint.TLSDisable {
		return nil, nil
	}
	c := &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12}
	if t.CACert != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(t.CACert)) {
			return nil, safepoint.Invalid("ca_cert", "The CA certificate is not PEM.").
				WithHint("Paste the whole file, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.")
		}
	}
	switch t.TLS {
	case safepoint.TLSVerifyFull, "":
	case safepoint.TLSVerifyCA:
		// The chain is checked below, without the host's name.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, c.RootCAs) }
	case safepoint.TLSRequire:
		c.InsecureSkipVerify = true
	default:
		return nil, safepoint.Invalid("tls", "%q is not a TLS mode.", t.TLS).WithHint("Choose verify-full, verify-ca, require or disable.")
	}
	return c, nil
}

func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server sent no certificate")
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(opts)
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}
