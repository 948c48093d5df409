package balancer

import (
	"sync"
	"testing"
)

// sentTo returns whom the index knows to have been sent a key, by name.
func (x *prefixIndex) sentTo(key uint64, s *Snapshot) map[string]bool {
	names := make(map[string]bool)
	b, t := x.bucket(key), tag(key)
	for i := range b {
		if entry := b[i].Load(); entry != 0 && isTag(entry, t) {
			if at := s.place(entry >> clockBits & ownerMask); at >= 0 {
				names[s.endpoints[at].Name] = true
			}
		}
	}
	return names
}

func (x *prefixIndex) entries(key uint64) (n int) {
	for i := range x.bucket(key) {
		if x.bucket(key)[i].Load() != 0 {
			n++
		}
	}
	return n
}

func TestIndexRemembers(t *testing.T) {
	x, eps := newPrefixIndex(), pool(3)
	s := NewSnapshot(eps, Options{})
	for _, key := range []uint64{
		mix(1), mix(2), // any
		0x123456789 << tagBits, // tag 0
		1<<tagBits - 1,         // the first bucket
		1<<64 - 1,              // the last
	} {
		if x.has(key) || len(x.sentTo(key, s)) != 0 {
			t.Fatalf("key %x is known before it was sent", key)
		}
		x.note(key, eps[1])
		x.note(key, eps[1])
		if got := x.sentTo(key, s); !x.has(key) || len(got) != 1 || !got[eps[1].Name] || x.entries(key) != 1 {
			t.Fatalf("key %x was sent to %v in %d entries, want one, %s", key, got, x.entries(key), eps[1].Name)
		}
		x.note(key, eps[2])
		if got := x.sentTo(key, s); len(got) != 2 || !got[eps[2].Name] {
			t.Fatalf("key %x was sent to %v, want two", key, got)
		}
		if other := key ^ 1<<(64-indexBucketBits-1); x.has(key ^ 1) {
			t.Fatalf("key %x is known, which differs from %x by the tag's last bit", key^1, key)
		} else if !x.has(other) {
			t.Fatalf("key %x is not taken for %x, though neither the bucket nor the tag tell them apart", other, key)
		}
	}
}

// A full bucket takes what is new in the place of one entry, and of every entry in its turn.
func TestIndexForgetsOne(t *testing.T) {
	const key = 0xabcdef0123456789
	eps := pool(200)
	s := NewSnapshot(eps, Options{})
	forgotten := make(map[string]bool)
	for _, newcomer := range eps[indexWays:] {
		x := newPrefixIndex()
		for _, e := range eps[:indexWays] {
			x.note(key, e)
		}
		x.note(key, newcomer)
		got := x.sentTo(key, s)
		if len(got) != indexWays || !got[newcomer.Name] {
			t.Fatalf("known are %v, want %s and all others but one", got, newcomer.Name)
		}
		for _, e := range eps[:indexWays] {
			if !got[e.Name] {
				forgotten[e.Name] = true
			}
		}
	}
	if len(forgotten) != indexWays {
		t.Errorf("only %d of %d entries are ever forgotten: %v", len(forgotten), indexWays, forgotten)
	}
}

// Ages are right also where a clock has come round.
func TestIndexClockComesRound(t *testing.T) {
	a, _, eps := newAutoPool(2)
	s := NewSnapshot(eps, Options{})
	r := chat(1, 5, 1e9)
	for _, start := range []int64{0, 1<<30 - 512, 1<<30 - 1, 1 << 30, 5<<30 - 1} {
		eps[1].learned.inserted.Store(start)
		a.index.noteAll(r, eps[1])
		eps[1].learned.inserted.Add(40 << clockShift)
		var x expected
		x.find(a, s, r, 1)
		if x.known != 1 || x.matches[0].index != 1 || x.matches[0].age != 40 {
			t.Errorf("a clock that starts at %d: matches %v, want the second endpoint with an age of 40", start, x.matches[:x.known])
		}
	}
}

// Endpoints that the index cannot tell apart are taken for the first of them.
func TestIndexOfLikeOwners(t *testing.T) {
	a, _, eps := newAutoPool(4)
	eps[2].hash = eps[1].hash ^ 1
	s := NewSnapshot(eps, Options{})
	r := chat(1, 5, 1e9)
	for _, e := range eps {
		a.index.noteAll(r, e)
	}
	var x expected
	x.find(a, s, r, 1)
	if x.known != 3 || x.match(0) == nil || x.match(1) == nil || x.match(2) != nil || x.match(3) == nil {
		t.Errorf("matches are %v, want all endpoints but the third", x.matches[:x.known])
	}
}

// Keys that were never sent are hardly ever taken for others, however full the index is, and it takes no more memory.
func TestIndexHardlyErrs(t *testing.T) {
	x, eps := newPrefixIndex(), pool(16)
	sent := uint64(0)
	if n := testing.AllocsPerRun(1, func() {
		for range 1 << 20 {
			sent++
			x.note(mix(sent), eps[sent%16])
		}
	}); n != 0 {
		t.Errorf("the index allocated %v times", n)
	}
	wrong := 0
	const lookups = 1 << 20
	for i := range uint64(lookups) {
		if x.has(mix(1<<40 + i)) {
			wrong++
		}
	}
	// 8 entries of a bucket with 20 bits each: 8 of a million.
	if wrong > 40 {
		t.Errorf("%d of %d keys are known that were never sent, want about 8", wrong, lookups)
	}
}

func TestIndexAtTheSameTime(t *testing.T) {
	x, eps := newPrefixIndex(), pool(20)
	var wait sync.WaitGroup
	for w := range 4 {
		wait.Go(func() {
			for i := range 5000 {
				key := mix(uint64(i % 7))
				x.note(key, eps[(i+w)%len(eps)])
				if !x.has(key) {
					t.Error("a key was lost")
					return
				}
			}
		})
	}
	wait.Wait()
}
