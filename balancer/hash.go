package balancer

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Odd 64-bit constants without structure: the fractional parts of the square roots of 2, 3, 5 and 7, lowest bit set.
const (
	salt0 = 0x6a09e667f3bcc909
	salt1 = 0xbb67ae8584caa73b
	salt2 = 0x3c6ef372fe94f82b
	salt3 = 0xa54ff53a5f1d36f1
)

// Hash64 returns a 64-bit hash of b: the same in every process, on every platform and in every version of Penstock, so that
// replicas of the gateway send a session to the same endpoint without talking. Every input bit reaches every output bit. It has
// no seed: whoever chooses the input can find collisions, so it places load and must not guard anything.
//
// It folds 16 bytes a step by one 64x64->128-bit multiplication, the two halves xored (the construction of wyhash and of Go's
// own memhash), in two independent lanes.
func Hash64(b []byte) uint64 {
	n := uint64(len(b))
	h, g := uint64(salt0), uint64(salt1)
	for len(b) > 32 {
		h = fold(load64(b)^salt2, load64(b[8:])^h)
		g = fold(load64(b[16:])^salt3, load64(b[24:])^g)
		b = b[32:]
	}
	h ^= bits.RotateLeft64(g, 29)
	if len(b) > 16 {
		h = fold(load64(b)^salt2, load64(b[8:])^h)
		b = b[16:]
	}
	var x, y uint64 // at most 16 bytes are left; reads may overlap
	switch k := len(b); {
	case k >= 8:
		x, y = load64(b), load64(b[k-8:])
	case k >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[k-4:]))
	case k > 0:
		x = uint64(b[0])<<16 | uint64(b[k/2])<<8 | uint64(b[k-1])
	}
	return mix(fold(x^salt1, y^h) ^ n*salt3)
}

// HashString returns Hash64 of s's bytes.
func HashString(s string) uint64 {
	// The bytes are only read, so viewing the string as a slice breaks no promise of the language, and copies nothing.
	return Hash64(unsafe.Slice(unsafe.StringData(s), len(s)))
}

func load64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix spreads every bit of x over the result, one to one. It is the finalizer of SplitMix64 (Steele, Lea, Flood: "Fast
// splittable pseudorandom number generators", OOPSLA 2014; constants by D. Stafford).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// nextRandom returns the random number that follows r, for a pick that needs more than one (SplitMix64).
func nextRandom(r uint64) uint64 { return mix(r + 0x9e3779b97f4a7c15) }

// below maps the 32 random bits r to [0, n) without a division (D. Lemire: "Fast random integer generation in an interval",
// 2019); the bias is below n in 2^32.
func below(r uint32, n uint64) uint64 { return uint64(r) * n >> 32 }

// unit maps random bits to [0, 1).
func unit(r uint64) float64 { return float64(r>>11) * 0x1p-53 }
