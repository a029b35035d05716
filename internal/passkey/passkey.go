// Package passkey asks a browser for a passkey, and checks what it answers: WebAuthn, with challenges that are good for
// one answer, five minutes, one browser and one purpose.
//
// It keeps nothing of a question: the challenge itself says, signed, what it is good for. Only those that were answered are
// remembered, until they are too old anyway. The person must have been verified by the device (a PIN, a finger, a face), and
// the device must be able to find the passkey by itself, so that a name need not be typed. Where a device comes from is not
// asked: no maker is trusted more than another, and none is told where it is used.
package passkey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Life is for how long a question may be answered.
const Life = 5 * time.Minute

// ErrRefused is every answer that is not good: of another question, place, person or key, too late, or given before.
var ErrRefused = errors.New("the passkey's answer is not good")

// Why a place has no passkeys.
var (
	ErrAddress  = errors.New("passkeys need a host with a name, and this is an address")
	ErrInsecure = errors.New("passkeys need HTTPS, except on localhost")
)

// Site is where browsers reach the console: a passkey made at one is of no use at another.
type Site struct {
	Host   string // WebAuthn's relying party: "backup.example"
	Port   string // "8443"; "" is the one that needs no saying
	Origin string // "https://backup.example:8443"
}

// SiteAt is the site of a URL such as "https://backup.example/". Where there can be no passkeys it is ErrAddress or
// ErrInsecure.
func SiteAt(address string) (Site, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Site{}, fmt.Errorf("%q is no address of a console", address)
	}
	s := Site{Host: strings.ToLower(u.Hostname()), Port: u.Port()}
	if s.Port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		s.Port = "" // as browsers write it
	}
	s.Origin = strings.TrimSuffix(u.Scheme+"://"+strings.ToLower(u.Host), ":"+u.Port())
	if s.Port != "" {
		s.Origin += ":" + s.Port
	}
	if net.ParseIP(s.Host) != nil {
		return s, ErrAddress
	}
	if u.Scheme == "http" && s.Host != "localhost" && !strings.HasSuffix(s.Host, ".localhost") {
		return s, ErrInsecure
	}
	return s, nil
}

// Owner is the person a passkey is for.
type Owner struct {
	ID    string // never shown; the device keeps it
	Name  string // the device shows it: their address
	Title string // and this: their name
}

// Key is what is kept of a passkey. Nothing of it is secret.
type Key struct {
	ID         []byte // by which the device finds it
	Public     []byte // the public key, in COSE's form
	Count      uint32 // of its signatures; 0 where the device does not count
	Synced     bool   // its maker may copy it to the person's other devices
	Transports []string
}

// Used is a passkey that answered well.
type Used struct {
	Key
	// Copied says that the device's count went back, or stood still: two devices hold this passkey that should be in one.
	Copied bool
}

// algorithms are the signatures we take: those that every device can make, one of which is on every device.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

func (s Site) party() (*webauthn.WebAuthn, error) {
	required := true
	return webauthn.New(&webauthn.Config{
		RPID: s.Host, RPDisplayName: "Safepoint", RPOrigins: []string{s.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: &required, ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		},
		// Some password managers answer what nobody asked. Nothing of it is read.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
}

// person is an owner as the module wants it.
type person struct {
	Owner
	keys []Key
}

func (p person) WebAuthnID() []byte          { return []byte(p.ID) }
func (p person) WebAuthnName() string        { return p.Name }
func (p person) WebAuthnDisplayName() string { return p.Title }
func (p person) WebAuthnCredentials() (list []webauthn.Credential) {
	for _, k := range p.keys {
		c := webauthn.Credential{ID: k.ID, PublicKey: k.Public}
		c.Flags.BackupEligible, c.Authenticator.SignCount = k.Synced, k.Count
		for _, t := range k.Transports {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
		}
		list = append(list, c)
	}
	return list
}

func (p person) descriptors() (list []protocol.CredentialDescriptor) {
	for _, c := range p.WebAuthnCredentials() {
		list = append(list, c.Descriptor())
	}
	return list
}

// AskNew is the question for a new passkey, in JSON as navigator.credentials.create takes it; its bytes are in base64url.
// A device that holds one of the owner's keys already declines.
func (c *Challenges) AskNew(s Site, browser string, o Owner, has []Key) ([]byte, error) {
	party, err := s.party()
	if err != nil {
		return nil, err
	}
	p := person{o, has}
	question, _, err := party.BeginRegistration(p, webauthn.WithCredentialParameters(algorithms), webauthn.WithExclusions(p.descriptors()),
		func(q *protocol.PublicKeyCredentialCreationOptions) error {
			q.Challenge, q.Timeout = c.issue(purpose{"new", s.Origin, browser, o.ID}), int(Life.Milliseconds())
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("ask for a new passkey: %w", err)
	}
	return json.Marshal(question)
}

// New checks the answer to AskNew, which must be of the same site, browser and owner: ErrRefused otherwise.
func (c *Challenges) New(s Site, browser string, o Owner, answer []byte) (Key, error) {
	party, err := s.party()
	if err != nil {
		return Key{}, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return Key{}, refused(err)
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	if err := c.check(purpose{"new", s.Origin, browser, o.ID}, challenge); err != nil {
		return Key{}, err
	}
	made, err := party.CreateCredential(person{Owner: o}, webauthn.SessionData{
		Challenge: challenge, RelyingPartyID: s.Host, UserID: []byte(o.ID), UserVerification: protocol.VerificationRequired, CredParams: algorithms,
	}, parsed)
	if err != nil {
		return Key{}, refused(err)
	}
	if err := c.use(challenge); err != nil {
		return Key{}, err
	}
	k := Key{ID: made.ID, Public: made.PublicKey, Count: made.Authenticator.SignCount, Synced: made.Flags.BackupEligible}
	for _, t := range made.Transport {
		k.Transports = append(k.Transports, string(t))
	}
	return k, nil
}

// Ask is the question for a passkey that there is, in JSON as navigator.credentials.get takes it. With an owner only theirs
// are asked for; without one, whichever the device has for the site.
func (c *Challenges) Ask(s Site, browser string, o Owner, keys []Key) ([]byte, error) {
	party, err := s.party()
	if err != nil {
		return nil, err
	}
	question, _, err := party.BeginDiscoverableLogin(webauthn.WithAllowedCredentials(person{o, keys}.descriptors()),
		func(q *protocol.PublicKeyCredentialRequestOptions) error {
			q.Challenge, q.Timeout = c.issue(purpose{"ask", s.Origin, browser, o.ID}), int(Life.Milliseconds())
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("ask for a passkey: %w", err)
	}
	return json.Marshal(question)
}

// Answer is what a browser answered to Ask. Nothing of it is checked yet.
type Answer struct {
	KeyID  []byte // the passkey it says it used
	parsed *protocol.ParsedCredentialAssertionData
}

// Read reads an answer: ErrRefused where it is none.
func Read(answer []byte) (Answer, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return Answer{}, refused(err)
	}
	return Answer{parsed.RawID, parsed}, nil
}

// Check checks an answer to Ask, which was asked with the same site and browser, and about asked: the zero Owner where
// anybody's was asked for. owner and k are whose passkey KeyID is. What is not good is ErrRefused.
func (c *Challenges) Check(s Site, browser string, asked Owner, a Answer, owner Owner, k Key) (Used, error) {
	party, err := s.party()
	if err != nil {
		return Used{}, err
	}
	if owner.ID == "" || asked.ID != "" && asked.ID != owner.ID || !bytes.Equal(k.ID, a.KeyID) {
		return Used{}, fmt.Errorf("%w: it is of somebody else", ErrRefused)
	}
	challenge := a.parsed.Response.CollectedClientData.Challenge
	if err := c.check(purpose{"ask", s.Origin, browser, asked.ID}, challenge); err != nil {
		return Used{}, err
	}
	session := webauthn.SessionData{Challenge: challenge, RelyingPartyID: s.Host, UserVerification: protocol.VerificationRequired}
	var proven *webauthn.Credential
	if asked.ID != "" { // a security key need not say whose its passkey is where that was known before
		session.UserID, session.AllowedCredentialIDs = []byte(owner.ID), [][]byte{k.ID}
		proven, err = party.ValidateLogin(person{owner, []Key{k}}, session, a.parsed)
	} else {
		find := func(_, _ []byte) (webauthn.User, error) { return person{owner, []Key{k}}, nil }
		proven, err = party.ValidateDiscoverableLogin(find, session, a.parsed)
	}
	if err != nil {
		return Used{}, refused(err)
	}
	if err := c.use(challenge); err != nil {
		return Used{}, err
	}
	k.Count = proven.Authenticator.SignCount
	return Used{k, proven.Authenticator.CloneWarning}, nil
}

// refused keeps the reason for the log. The module's errors are short; what went wrong in detail is in DevInfo.
func refused(err error) error {
	var e *protocol.Error
	if errors.As(err, &e) && e.DevInfo != "" {
		return fmt.Errorf("%w: %s (%s)", ErrRefused, e.Details, e.DevInfo)
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}
