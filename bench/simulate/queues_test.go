package simulate

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penstock/penstock/bench/engine"
)

func TestEventsComeInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	type naive struct{ at, number int64 }
	var h eventHeap
	var waiting []naive
	popped := int64(-1)
	for i := range int64(6000) {
		if random.IntN(100) < 52 {
			at := random.Int64N(200)
			h.push(at, func(*world) { popped = i })
			waiting = append(waiting, naive{at, i})
			continue
		}
		if len(waiting) == 0 {
			if at := h.earliest(); at != engine.Never {
				t.Fatalf("an empty heap has an event at %d", at)
			}
			continue
		}
		least := slices.MinFunc(waiting, func(a, b naive) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.number, b.number)) })
		waiting = slices.DeleteFunc(waiting, func(n naive) bool { return n == least })
		if at := h.earliest(); at != least.at {
			t.Fatalf("the next event is at %d, want %d", at, least.at)
		}
		e := h.pop()
		if e.do(nil); popped != least.number {
			t.Fatalf("event %d comes, want %d", popped, least.number)
		}
	}
}

func TestEnginesComeInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	var h engineHeap
	replicas := make([]*replica, 50)
	for i := range replicas {
		replicas[i] = &replica{number: i, next: engine.Never, place: -1}
	}
	for range 6000 {
		next := random.Int64N(300)
		if random.IntN(4) == 0 {
			next = engine.Never
		}
		h.update(replicas[random.IntN(len(replicas))], next)
		first := slices.MinFunc(replicas, func(a, b *replica) int {
			return cmp.Or(cmp.Compare(a.next, b.next), cmp.Compare(a.number, b.number))
		})
		if h.earliest() != first.next || first.next != engine.Never && h.top() != first {
			t.Fatalf("the next step is at %d, want replica %d at %d", h.earliest(), first.number, first.next)
		}
		for i, r := range h.heap {
			if r.place != i {
				t.Fatalf("replica %d is at place %d and takes itself to be at %d", r.number, i, r.place)
			}
		}
	}
}

func TestMessagesComeInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	var q fifo
	var waiting []message
	for i := range int64(6000) {
		if random.IntN(100) < 51 {
			m := message{at: i, kind: messageKind(random.IntN(6)), flight: &flight{index: int(i)}}
			q.push(m)
			waiting = append(waiting, m)
		} else if len(waiting) > 0 {
			if got := q.pop(); got != waiting[0] {
				t.Fatalf("%+v comes, want %+v", got, waiting[0])
			}
			waiting = waiting[1:]
		}
		earliest := engine.Never
		if len(waiting) > 0 {
			earliest = waiting[0].at
		}
		if q.size != len(waiting) || q.earliest() != earliest {
			t.Fatalf("%d messages from %d on, want %d from %d on", q.size, q.earliest(), len(waiting), earliest)
		}
	}
}
