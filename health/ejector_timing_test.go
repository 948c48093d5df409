package health

import "testing"

// BenchmarkSuccess is what every request pays for passive ejection.
func BenchmarkSuccess(b *testing.B) {
	eps := endpoints(8)
	j := ejector(50, eps)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j.Success(eps[i%8])
	}
}
