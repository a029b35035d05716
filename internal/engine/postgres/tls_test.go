package postgres

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

func TestTLS(t *testing.T) {
	ca, cert, key := certificates(t, "localhost")
	c := pgtest.Start(t, pgserver.Options{TCP: true, Settings: map[string]string{"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"},
		Files: map[string][]byte{"server.crt": cert, "server.key": key}})
	good := c.TCPTarget("postgres")
	good.Host, good.TLS, good.CACert = "localhost", safepoint.TLSVerifyFull, ca
	for name, test := range map[string]struct {
		change func(*engine.Target)
		code   safepoint.Code
	}{
		"verify-full":                         {func(*engine.Target) {}, ""},
		"verify-full of another name":         {func(t *engine.Target) { t.Host = "127.0.0.1" }, safepoint.CodeTLS},
		"verify-full, CA not known":           {func(t *engine.Target) { t.CACert = "" }, safepoint.CodeTLS},
		"verify-ca of another name":           {func(t *engine.Target) { t.Host, t.TLS = "127.0.0.1", safepoint.TLSVerifyCA }, ""},
		"verify-ca, CA not known":             {func(t *engine.Target) { t.CACert, t.TLS = "", safepoint.TLSVerifyCA }, safepoint.CodeTLS},
		"require":                             {func(t *engine.Target) { t.CACert, t.TLS = "", safepoint.TLSRequire }, ""},
		"disable":                             {func(t *engine.Target) { t.TLS = safepoint.TLSDisable }, ""},
		"not PEM":                             {func(t *engine.Target) { t.CACert = "nonsense" }, safepoint.CodeInvalid},
		"empty mode is verify-full, not less": {func(t *engine.Target) { t.TLS, t.CACert = "", "" }, safepoint.CodeTLS},
	} {
		t.Run(name, func(t *testing.T) {
			target := good
			test.change(&target)
			_, err := Engine{}.Inspect(t.Context(), target)
			if safepoint.ErrorCode(err) != test.code {
				t.Errorf("%v, want code %q", err, test.code)
			}
			if test.code != "" && safepoint.UserError(err).Hint == "" {
				t.Error("no hint")
			}
		})
	}
	// pg_dump runs through the encrypted session as well.
	pgtest.Exec(t, c.Target("postgres"), "CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
	r, _ := dumpFile(t, good)
	if r.Summary().Rows != 1 {
		t.Errorf("%+v", r.Summary())
	}
	// A session that was lent comes back, and is lent again.
	s, err := (Engine{Jobs: 2}).openSessions(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	before := s.pids()
	for range 3 {
		if err := s.dump(t.Context(), good, archive.NewWriter(&bytes.Buffer{}, archive.Header{}, nil), engine.DumpOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if after := s.pids(); before[0] != after[0] || before[1] != after[1] {
		t.Errorf("sessions %v became %v", before, after)
	}
}

// certificates makes a CA and a server's certificate for one name.
func certificates(t *testing.T, name string) (ca string, cert, key []byte) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, public, signer *ecdsa.PrivateKey) ([]byte, *x509.Certificate) {
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &public.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), parsed
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caPEM, caCert := sign(authority, authority, caKey, caKey)
	cert, _ = sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}, caCert, serverKey, caKey)
	der, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(caPEM), cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
