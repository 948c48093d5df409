package engine

import (
	"fmt"
	"testing"
)

// BenchmarkStep is the cost of one step with a batch of decoding sequences, where one ends and one joins every few steps.
func BenchmarkStep(b *testing.B) {
	for _, batch := range []int{1, 16, 256} {
		for _, every := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%d/everyToken=%v", batch, every), func(b *testing.B) {
				e := newEngine(b, func(c *Config) { c.EveryToken, c.Overhead = every, 0 })
				var id uint64
				send := func(now int64) {
					id++
					submit(b, e, now, Request{ID: id, PromptTokens: 200, MaxTokens: 200 + int(id%100)})
				}
				for range batch {
					send(0)
				}
				b.ReportAllocs()
				for b.Loop() {
					_, events := e.Step(e.Next())
					for _, ev := range events {
						if ev.Last {
							send(ev.At)
						}
					}
				}
			})
		}
	}
}

// BenchmarkRequest is the cost of a whole request of 1,155 prompt and 211 output tokens (the means of a conversation trace), its
// steps shared with 20 others, with prefixes that half hit a full cache.
func BenchmarkRequest(b *testing.B) {
	e := newEngine(b, func(c *Config) { c.EveryToken = false })
	names := make([][]uint64, 4096)
	for i := range names {
		names[i] = make([]uint64, 1155/16)
		for j := range names[i] {
			names[i][j] = uint64(i)<<32 | uint64(j)
			if j < 36 {
				names[i][j] = uint64(i%64)<<16 | uint64(j)
			}
		}
	}
	var id uint64
	send := func(now int64) {
		id++
		submit(b, e, now, Request{ID: id, PromptTokens: 1155, MaxTokens: 211, Blocks: names[id*2654435761%4096]})
	}
	for range 20 {
		send(0)
	}
	b.ReportAllocs()
	for b.Loop() {
		for ended := false; !ended; {
			_, events := e.Step(e.Next())
			for _, ev := range events {
				if ev.Last {
					ended = true
					send(ev.At)
				}
			}
		}
	}
}
