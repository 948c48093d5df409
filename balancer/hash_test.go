package balancer

import (
	"fmt"
	"math"
	"math/bits"
	"testing"
)

// The hash decides where sessions live, so that a changed one moves all of them, and gateways of two versions disagree.
func TestHash64IsStable(t *testing.T) {
	long := make([]byte, 100)
	for i := range long {
		long[i] = byte(i)
	}
	tests := []struct {
		in   string
		want uint64
	}{
		{"", 0x64828882a798ab89},
		{"a", 0xb9aba6b21f2f576b},
		{"abc", 0xba961ad70f57263e},
		{"four", 0x9b6fef63cd606207},
		{"sevenby", 0xc70d17e42abe86f9},
		{"eight888", 0x7c13f5d3bbf8b2e1},
		{"10.1.2.3:8000", 0x9ec8dc15bc0f5be4},
		{"sixteen-bytes-16", 0x3aedfd074a5bbbdd},
		{"seventeen-bytes-1", 0xe7e7f1ebe94b6b31},
		{"alice@example.com/conversation-1", 0xb1f25d8e888413d2},
		{"alice@example.com/conversation-12", 0xf03b2614d3a49ccb},
		{string(long), 0x9607a7db3756e211},
	}
	for _, test := range tests {
		if got := HashString(test.in); got != test.want {
			t.Errorf("HashString(%q) = %#016x, want %#016x", test.in, got, test.want)
		}
		if got := Hash64([]byte(test.in)); got != test.want {
			t.Errorf("Hash64(%q) = %#016x, want %#016x", test.in, got, test.want)
		}
	}
}

// Flipping any input bit flips every output bit half of the time.
func TestHash64Avalanche(t *testing.T) {
	const samples = 4000
	for _, n := range []int{1, 3, 4, 7, 8, 11, 16, 17, 21, 32, 33, 64, 100} {
		data := make([]byte, n)
		random := uint64(n)
		for bit := range n * 8 {
			if n > 8 && bit%7 != 0 { // a seventh of the bits of long inputs
				continue
			}
			var flips [64]int
			for range samples {
				for i := range data {
					random = nextRandom(random)
					data[i] = byte(random)
				}
				before := Hash64(data)
				data[bit/8] ^= 1 << (bit % 8)
				for diff := before ^ Hash64(data); diff != 0; diff &= diff - 1 {
					flips[bits.TrailingZeros64(diff)]++
				}
			}
			for out, count := range flips {
				// Short inputs repeat, so their samples are not independent.
				if share := float64(count) / samples; math.Abs(share-0.5) > 0.08 && n > 1 || share < 0.3 || share > 0.7 {
					t.Fatalf("length %d: input bit %d flips output bit %d in %.3f of cases", n, bit, out, share)
				}
			}
		}
	}
}

// Similar names do not collide, and spread evenly over buckets taken from either end of the hash.
func TestHash64SpreadsSimilarNames(t *testing.T) {
	const names, buckets = 1 << 17, 256
	seen := make(map[uint64]string, names)
	var high, low [buckets]int
	for i := range names {
		name := fmt.Sprintf("10.%d.%d.%d:8000", i>>16, i>>8&255, i&255)
		h := HashString(name)
		if other, ok := seen[h]; ok {
			t.Fatalf("%q and %q have the same hash", name, other)
		}
		seen[h] = name
		high[h>>56]++
		low[h&255]++
	}
	for _, counts := range [][buckets]int{high, low} {
		chi := 0.0
		for _, n := range counts {
			d := float64(n) - names/buckets
			chi += d * d / (names / buckets)
		}
		// 255 degrees of freedom: mean 255, standard deviation 22.6; six of them are exceeded by chance once in 10 million.
		if chi > 255+6*22.6 {
			t.Errorf("chi-squared is %.0f, want about 255", chi)
		}
	}
}

// The length counts: zeros are not all alike.
func TestHash64OfZeros(t *testing.T) {
	seen := make(map[uint64]int)
	for n := range 200 {
		h := Hash64(make([]byte, n))
		if other, ok := seen[h]; ok {
			t.Fatalf("%d and %d zero bytes have the same hash", n, other)
		}
		seen[h] = n
	}
}

func TestHash64AllocatesNothing(t *testing.T) {
	name, data := "10.0.0.1:8000", make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() { HashString(name); Hash64(data) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
