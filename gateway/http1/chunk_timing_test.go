package http1

import (
	"bytes"
	"fmt"
	"testing"
)

// chunked returns count chunks of size bytes, without the last chunk.
func chunked(count, size int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%x\r\n%s\r\n", size, bytes.Repeat([]byte("x"), size)), count)
}

func BenchmarkChunkScan(b *testing.B) {
	for _, size := range []int{16, 200, 16 << 10} {
		count := 64
		p := chunked(count, size)
		b.Run(fmt.Sprintf("Scan/chunk=%d", size), func(b *testing.B) {
			var s ChunkScanner
			b.ReportAllocs()
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if n, _, err := s.Scan(p); n != len(p) || err != nil {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/chunk")
		})
		b.Run(fmt.Sprintf("Next/chunk=%d", size), func(b *testing.B) {
			var s ChunkScanner
			b.ReportAllocs()
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				for rest := p; len(rest) > 0; {
					n, _, _, err := s.Next(rest)
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/chunk")
		})
	}
}
