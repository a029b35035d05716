package passkey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// Challenges makes questions and checks their answers. It is safe for concurrent use. See NewChallenges.
//
// A challenge is a nonce, its end, and a MAC of both with its purpose, under a key that ends with the process. So asking
// costs no memory, whoever asks and however often, and no challenge outlives a restart.
type Challenges struct {
	elapsed func() time.Duration
	key     [32]byte

	mu   sync.Mutex
	used map[[nonceSize]byte]time.Duration // answered already → its end
}

// NewChallenges makes Challenges. elapsed is how long the process has run, by a clock that nobody sets.
func NewChallenges(elapsed func() time.Duration) *Challenges {
	c := &Challenges{elapsed: elapsed, used: map[[nonceSize]byte]time.Duration{}}
	rand.Read(c.key[:])
	return c
}

const (
	nonceSize = 16
	headSize  = nonceSize + 8 // the nonce, and the end in milliseconds
)

// purpose is what a challenge is good for: which question, where, to which browser, about whom ("" is anybody).
type purpose struct{ question, origin, browser, owner string }

func (c *Challenges) issue(p purpose) []byte {
	b := make([]byte, headSize, headSize+sha256.Size)
	rand.Read(b[:nonceSize])
	binary.BigEndian.PutUint64(b[nonceSize:], uint64((c.elapsed() + Life).Milliseconds()))
	return append(b, c.seal(p, b)...)
}

// seal is the MAC of a challenge's head and purpose. Each part is led by its length, so that none can pass for another.
func (c *Challenges) seal(p purpose, head []byte) []byte {
	m := hmac.New(sha256.New, c.key[:])
	for _, part := range []string{string(head), p.question, p.origin, p.browser, p.owner} {
		binary.Write(m, binary.BigEndian, uint64(len(part)))
		m.Write([]byte(part))
	}
	return m.Sum(nil)
}

// check refuses a challenge that is not ours, is for something else, or too old. Its text is base64url.
func (c *Challenges) check(p purpose, text string) error {
	head, seal, end := split(text)
	switch {
	case !hmac.Equal(seal, c.seal(p, head)):
		return fmt.Errorf("%w: its challenge was not made for this", ErrRefused)
	case c.elapsed() > end:
		return fmt.Errorf("%w: it came too late", ErrRefused)
	}
	return nil
}

// use refuses a challenge that was answered before. Only good answers come here, so nobody fills the memory with others.
func (c *Challenges) use(text string) error {
	head, _, end := split(text)
	nonce := [nonceSize]byte(head)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.elapsed()
	for n, end := range c.used {
		if now > end {
			delete(c.used, n)
		}
	}
	if _, again := c.used[nonce]; again {
		return fmt.Errorf("%w: it was given before", ErrRefused)
	}
	c.used[nonce] = end
	return nil
}

// split takes a challenge apart. What is none becomes one with a seal that fits nothing.
func split(text string) (head, seal []byte, end time.Duration) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != headSize+sha256.Size {
		return make([]byte, headSize), nil, 0
	}
	return b[:headSize], b[headSize:], time.Duration(binary.BigEndian.Uint64(b[nonceSize:headSize])) * time.Millisecond
}
