package trace

// mix spreads the bits of x; it is one-to-one (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// chain names what follows previous. For a given previous it is one-to-one in next, and the other way round, so names collide only as
// random 64-bit numbers do. The factor keeps a chain of two from being the same in both orders.
func chain(previous, next uint64) uint64 { return mix(3*previous + mix(next)) }

// session is a name for a conversation, never 0.
func session(previous, next uint64) uint64 { return max(chain(previous, next), 1) }
