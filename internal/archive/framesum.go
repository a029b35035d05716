package archive

import (
	"crypto/sha256"
	"hash"

	"github.com/zeebo/xxh3"
)

// frameSum sums up the compressed bytes of a frame on their way.
type frameSum struct {
	sha   hash.Hash
	quick *xxh3.Hasher
}

// frameSums are what is known of a frame's bytes: a SHA-256 for whoever reads the archive, and a sum for a Follower, which
// asks whether a disk kept them and not whether somebody forged them. That one costs a tenth.
type frameSums struct {
	sha   Sum
	quick xxh3.Uint128
}

func newFrameSum() frameSum { return frameSum{sha256.New(), xxh3.New()} }

// Write never fails.
func (s frameSum) Write(p []byte) (int, error) {
	s.sha.Write(p)
	return s.quick.Write(p)
}

func (s frameSum) reset() {
	s.sha.Reset()
	s.quick.Reset()
}

func (s frameSum) sums() frameSums { return frameSums{Sum(s.sha.Sum(nil)), s.quick.Sum128()} }
