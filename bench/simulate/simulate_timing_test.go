package simulate

import (
	"fmt"
	"os"
	"testing"

	"github.com/penstock/penstock/bench/trace"
)

// BenchmarkRun plays a load that keeps the GPUs reasonably busy, 8 requests a second and replica, through four gateways. With SIMULATE_FULL set
// it does so with a thousand replicas and a million requests, too, which must not take a minute on one core (GOMAXPROCS=1).
func BenchmarkRun(b *testing.B) {
	sizes := []int{10, 100}
	if os.Getenv("SIMULATE_FULL") != "" {
		sizes = append(sizes, 1000)
	}
	for _, replicas := range sizes {
		load := trace.NoReuse(8*float64(replicas), 1000*replicas, 1)
		for _, policy := range []string{"auto", "least-outstanding"} {
			b.Run(fmt.Sprintf("replicas=%d/%s", replicas, policy), func(b *testing.B) {
				o := testOptions(b, load, replicas, func(o *Options) { o.Policy, o.Gateways = policy, 4 })
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Run(o); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*len(load.Requests))/b.Elapsed().Seconds(), "requests/s")
			})
		}
	}
}
