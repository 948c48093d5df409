package grpc

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestMessageScan(t *testing.T) {
	stream := frame("a") + frame() + frame(strings.Repeat("b", 300)) + frame() + frame("cut")
	stream = stream[:len(stream)-1]
	for step := 1; step <= len(stream); step++ {
		var s MessageScan
		total := 0
		for rest := stream; rest != ""; rest = rest[min(step, len(rest)):] {
			total += s.Feed([]byte(rest[:min(step, len(rest))]))
		}
		if total != 4 {
			t.Errorf("%d messages, %d bytes at a time; want 4", total, step)
		}
		if !s.Within() {
			t.Error("the last message counts as whole")
		}
		if n := s.Feed([]byte("t" + frame("next"))); n != 2 || s.Within() {
			t.Errorf("%d messages end in the rest, within one: %v; want 2, and the last of them whole", n, s.Within())
		}
		if s.Feed([]byte{0}); !s.Within() {
			t.Error("a prefix that has begun counts as nothing")
		}
	}
}

// TestMessageScanTakesAnything: what is no message has no error, only a number.
func TestMessageScanTakesAnything(t *testing.T) {
	var s MessageScan
	if n := s.Feed([]byte("\xff\xff\xff\xff\xff" + strings.Repeat("x", 1000))); n != 0 {
		t.Errorf("%d messages in the beginning of a long one", n)
	}
	if n := s.Feed(nil); n != 0 {
		t.Errorf("%d messages in nothing", n)
	}
}

// FuzzMessageScan checks that pieces make no difference.
func FuzzMessageScan(f *testing.F) {
	f.Add([]byte(frame("a")+frame()+frame("bc")), uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		var whole, pieces MessageScan
		want := whole.Feed(b)
		rng := rand.New(rand.NewPCG(seed, 1))
		got := 0
		for rest := b; len(rest) > 0; {
			n := min(rng.IntN(8), len(rest))
			got += pieces.Feed(rest[:n])
			rest = rest[n:]
		}
		if got != want || pieces.left != whole.left || pieces.have != whole.have {
			t.Errorf("%d messages in pieces, %d in the whole of %x", got, want, b)
		}
	})
}
