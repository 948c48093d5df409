package trace

import "testing"

func BenchmarkPrefixHeavy(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		PrefixHeavy(100, 100_000, 1)
	}
}

func BenchmarkSuperpose(b *testing.B) {
	t := PrefixHeavy(10, 20_000, 1)
	b.ReportAllocs()
	for b.Loop() {
		t.Superpose(10, 1)
	}
}
