package encrypt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"
)

// Writer encrypts what is written to it. Only after Close is the file whole: no reader opens it before.
type Writer struct {
	in  io.WriteCloser
	out counter
	key FileKey
}

// NewWriter begins an encrypted file on dst, for one recipient or more. It needs no secret.
func NewWriter(dst io.Writer, to []Recipient) (*Writer, error) {
	if len(to) == 0 {
		return nil, errors.New("encrypt: no recipients")
	}
	if err := CheckRecipients(to); err != nil {
		return nil, err
	}
	w := &Writer{out: counter{dst: dst, sum: sha256.New()}}
	recipients := make([]age.Recipient, len(to))
	for i, r := range to {
		recipients[i] = r.r
	}
	recipients[0] = witness{to[0].r, &w.key}
	var err error
	if w.in, err = age.Encrypt(&w.out, recipients...); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return w, nil
}

// Write encrypts p. Nothing reaches dst before 64 KiB have come together.
func (w *Writer) Write(p []byte) (int, error) { return w.in.Write(p) }

// Close ends the file. It does not close dst.
func (w *Writer) Close() error { return w.in.Close() }

// Size is the number of bytes written to dst.
func (w *Writer) Size() int64 { return w.out.n }

// SHA256 is of all that was written to dst, in hex.
func (w *Writer) SHA256() string { return hex.EncodeToString(w.out.sum.Sum(nil)) }

// FileKey opens the file that w writes, and no other. With it the file can be read again and proven whole by who made
// it, though the recipients' own keys are elsewhere. It is in memory only, and gone with w.
func (w *Writer) FileKey() FileKey { return w.key }

// witness is a recipient that notes the file's key while it is wrapped.
type witness struct {
	age.Recipient
	key *FileKey
}

func (r witness) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	s, _, err := r.WrapWithLabels(fileKey)
	return s, err
}

// WrapWithLabels passes the recipient's labels on: they keep post-quantum recipients apart from others.
func (r witness) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	r.key.key = append([]byte(nil), fileKey...)
	if labelled, ok := r.Recipient.(age.RecipientWithLabels); ok {
		return labelled.WrapWithLabels(fileKey)
	}
	s, err := r.Recipient.Wrap(fileKey)
	return s, nil, err
}

// counter counts and hashes what goes to dst.
type counter struct {
	dst io.Writer
	sum hash.Hash
	n   int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.dst.Write(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}
