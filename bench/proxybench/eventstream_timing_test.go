package main

import "testing"

func BenchmarkEventDecoder(b *testing.B) {
	body := rechunked(100, eventSize)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var d eventDecoder
		if err := d.feed(body, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
}
