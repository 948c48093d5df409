package route

// Gateways must choose the same pool for the same user without talking to each other, today's release and the next alike. So the
// hash is this package's own and must never change; TestHashIsStable holds it.

// hash64 hashes s: FNV-1a, 64 bits (draft-eastlake-fnv), and a final avalanche, as FNV's upper bits are poor for short inputs.
func hash64[T string | []byte](s T) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h ^= uint64(s[i])
		h *= 0x00000100000001b3
	}
	return avalanche(h)
}

// avalanche spreads every bit of x over the whole result. It is MurmurHash3's fmix64 with David Stafford's constants, mix 13 of
// "Better Bit Mixing: Improving on MurmurHash3's 64-bit Finalizer" (2011).
func avalanche(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
