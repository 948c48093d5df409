package gateway

import "testing"

// The budget for metrics is 200 ns a request, one that is streamed and so is in most of them.
func BenchmarkObserver(b *testing.B) {
	for name, logging := range map[string]bool{"metrics": false, "metrics+log": true} {
		b.Run(name, func(b *testing.B) {
			o := newObserved(b, logging)
			b.ReportAllocs()
			for b.Loop() {
				o.Finished(&o.x)
			}
		})
	}
}
