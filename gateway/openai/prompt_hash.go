package openai

import (
	"encoding/binary"
	"math/bits"
)

// Gateways must send a conversation to the same endpoint without talking to each other, today's release and the next alike. So the hash
// of prompts is this package's own and must never change; TestPromptHashIsStable holds it.

// Odd 64-bit constants without structure: the fractional parts of the square roots of 11, 13, 17 and 19, lowest bit set.
const (
	hashSalt0 = 0x510e527fade682d1
	hashSalt1 = 0x9b05688c2b3e6c1f
	hashSalt2 = 0x1f83d9abfb41bd6b
	hashSalt3 = 0x5be0cd19137e2179
)

// hashStride is how many bytes the hash takes in one step.
const hashStride = 32

// textHash hashes text that comes in pieces; how it is cut does not matter. A step folds 32 bytes by two 64x64->128-bit multiplications,
// the halves xored (the construction of wyhash), in two lanes that do not wait for each other. It has no seed: whoever chooses the text can
// find collisions, so it places load and must not guard anything.
type textHash struct {
	a, b   uint64
	length uint64 // bytes so far
	held   [hashStride]byte
}

func (h *textHash) feed(p []byte) {
	held := int(h.length % hashStride)
	h.length += uint64(len(p))
	if held > 0 {
		n := copy(h.held[held:], p)
		if held+n < hashStride {
			return
		}
		h.step(h.held[:])
		p = p[n:]
	}
	for len(p) >= hashStride {
		h.step(p)
		p = p[hashStride:]
	}
	copy(h.held[:], p)
}

func (h *textHash) step(p []byte) {
	p = p[:hashStride]
	h.a = fold(binary.LittleEndian.Uint64(p)^hashSalt0, binary.LittleEndian.Uint64(p[8:])^h.a^hashSalt1)
	h.b = fold(binary.LittleEndian.Uint64(p[16:])^hashSalt2, binary.LittleEndian.Uint64(p[24:])^h.b^hashSalt3)
}

// sum returns the hash of the text so far, never 0. More may follow.
func (h *textHash) sum() uint64 {
	last := *h
	if held := int(h.length % hashStride); held > 0 {
		clear(last.held[held:])
		last.step(last.held[:])
	}
	return combine(last.a^bits.RotateLeft64(last.b, 29), h.length)
}

// hashOf returns the hash of text that is there as a whole, never 0.
func hashOf(p []byte) uint64 {
	var h textHash
	h.feed(p)
	return h.sum()
}

// combine returns a hash of two hashes in their order, never 0. The last step spreads every bit over the whole result: it is
// MurmurHash3's fmix64 with David Stafford's constants, mix 13 of "Better Bit Mixing: Improving on MurmurHash3's 64-bit
// Finalizer" (2011).
func combine(x, y uint64) uint64 {
	x = fold(x^hashSalt1, y^hashSalt2) ^ y*hashSalt3
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	if x == 0 {
		return hashSalt0
	}
	return x
}

func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

// keyChain hashes the beginnings of a text that PromptKeyBytes tells the lengths of.
type keyChain struct {
	text  textHash
	keys  [PromptKeys]uint64
	count int
}

func (c *keyChain) feed(p []byte) {
	for len(p) > 0 && c.count < PromptKeys {
		room := int(PromptKeyBytes[c.count]) - int(c.text.length)
		n := min(room, len(p))
		c.text.feed(p[:n])
		p = p[n:]
		if n == room {
			c.keys[c.count] = c.text.sum()
			c.count++
		}
	}
}
