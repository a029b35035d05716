// Package passkeytest is a device that holds passkeys, in software: what a browser and its authenticator answer to the
// questions of package passkey, right or wrong as a test wants it.
package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
)

// Device makes passkeys and signs with them. The zero value verifies its person and counts its signatures.
type Device struct {
	Unverified bool   // it does not ask for a PIN or a finger
	Uncounted  bool   // it always says 0, as passkeys that are synced do
	Host       string // it signs for this host, whatever the browser asks; "" signs for the one that is asked
	Count      uint32
	keys       []key
}

type key struct {
	id, owner []byte
	host      string
	private   *ecdsa.PrivateKey
}

// question has what a device reads of both questions.
type question struct {
	PublicKey struct {
		Challenge string
		RPID      string `json:"rpId"`
		RP        struct{ ID string }
		User      struct{ ID string }
		Allow     []struct{ ID string } `json:"allowCredentials"`
		Exclude   []struct{ ID string } `json:"excludeCredentials"`
	}
}

var b64 = base64.RawURLEncoding

func read(asked []byte) (q question, err error) {
	return q, json.Unmarshal(asked, &q)
}

// Create answers a question for a new passkey from a page of origin. An error says why a device would decline.
func (d *Device) Create(asked []byte, origin string) ([]byte, error) {
	q, err := read(asked)
	if err != nil {
		return nil, err
	}
	for _, x := range q.PublicKey.Exclude {
		if slices.ContainsFunc(d.keys, func(k key) bool { return b64.EncodeToString(k.id) == x.ID }) {
			return nil, fmt.Errorf("this device has a passkey for it")
		}
	}
	owner, err := b64.DecodeString(q.PublicKey.User.ID)
	if err != nil {
		return nil, err
	}
	k := key{id: make([]byte, 32), owner: owner, host: q.PublicKey.RP.ID}
	rand.Read(k.id)
	if k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	d.keys = append(d.keys, k)
	point, err := k.private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	made := make([]byte, 16) // no model
	made = binary.BigEndian.AppendUint16(made, uint16(len(k.id)))
	made = append(made, k.id...)
	// COSE: an EC2 key {1: 2} for ES256 {3: -7} on P-256 {-1: 1}, with x {-2} and y {-3}.
	made = append(made, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20)
	made = append(append(made, point[1:33]...), 0x22, 0x58, 0x20)
	made = append(made, point[33:]...)
	data := d.data(k.host, 0x40, made)
	object := append([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"), binary.BigEndian.AppendUint16(nil, uint16(len(data)))...)
	return answer(k.id, map[string]any{
		"clientDataJSON": client("webauthn.create", q.PublicKey.Challenge, origin), "attestationObject": b64.EncodeToString(append(object, data...)), "transports": []string{"internal"},
	})
}

// Get answers a question for a passkey from a page of origin, with the one made last that suits.
func (d *Device) Get(asked []byte, origin string) ([]byte, error) {
	q, err := read(asked)
	if err != nil {
		return nil, err
	}
	for _, k := range slices.Backward(d.keys) {
		allowed := len(q.PublicKey.Allow) == 0
		for _, a := range q.PublicKey.Allow {
			allowed = allowed || a.ID == b64.EncodeToString(k.id)
		}
		if !allowed || k.host != q.PublicKey.RPID {
			continue
		}
		return d.sign(k, q.PublicKey.Challenge, origin)
	}
	return nil, fmt.Errorf("this device has no passkey for it")
}

func (d *Device) sign(k key, challenge, origin string) ([]byte, error) {
	d.Count++
	host := k.host
	if d.Host != "" {
		host = d.Host
	}
	data, said := d.data(host, 0, nil), client("webauthn.get", challenge, origin)
	plain, err := b64.DecodeString(said)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(plain)
	digest := sha256.Sum256(append(slices.Clone(data), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, digest[:])
	if err != nil {
		return nil, err
	}
	return answer(k.id, map[string]any{
		"clientDataJSON": said, "authenticatorData": b64.EncodeToString(data), "signature": b64.EncodeToString(signature), "userHandle": b64.EncodeToString(k.owner),
	})
}

// data is what an authenticator signs of itself.
func (d *Device) data(host string, flags byte, rest []byte) []byte {
	sum := sha256.Sum256([]byte(host))
	flags |= 0x01 // somebody is there
	if !d.Unverified {
		flags |= 0x04
	}
	count := d.Count
	if d.Uncounted {
		count, flags = 0, flags|0x18 // and it is synced
	}
	return append(binary.BigEndian.AppendUint32(append(sum[:], flags), count), rest...)
}

// client is what a browser says of the page.
func client(kind, challenge, origin string) string {
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return b64.EncodeToString(b)
}

func answer(id []byte, response map[string]any) ([]byte, error) {
	return json.Marshal(map[string]any{"id": b64.EncodeToString(id), "rawId": b64.EncodeToString(id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}})
}
