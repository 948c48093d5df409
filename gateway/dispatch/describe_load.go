package dispatch

import (
	"time"

	"github.com/penstock/penstock/balancer"
)

// LoadDescription is what an endpoint said of its own load, ready to be shown as JSON. What it never said is left out.
type LoadDescription struct {
	// Waiting and Running are requests of all gateways and clients, and InFlight those of this gateway when the endpoint was last read.
	Waiting  *ReadingDescription `json:"waiting,omitempty"`
	Running  *ReadingDescription `json:"running,omitempty"`
	InFlight int64               `json:"inFlight"`
	// KVCache is the share in use, 0 to 1.
	KVCache *ReadingDescription `json:"kvCache,omitempty"`
	// PrefixHits and PrefixQueries are per second, in the engine's unit, mostly tokens.
	PrefixHits    *ReadingDescription `json:"prefixHits,omitempty"`
	PrefixQueries *ReadingDescription `json:"prefixQueries,omitempty"`
	// BlockSize is in tokens.
	BlockSize *ReadingDescription `json:"blockSize,omitempty"`
	Blocks    *ReadingDescription `json:"blocks,omitempty"`
	// GPUUtilization is 0 to 1, memory is in bytes.
	GPUUtilization *ReadingDescription  `json:"gpuUtilization,omitempty"`
	GPUMemoryUsed  *ReadingDescription  `json:"gpuMemoryUsed,omitempty"`
	GPUMemoryTotal *ReadingDescription  `json:"gpuMemoryTotal,omitempty"`
	Adapters       *AdaptersDescription `json:"adapters,omitempty"`
	// Failure says why the last poll brought nothing, so that the readings grow old.
	Failure string `json:"failure,omitempty"`
}

// ReadingDescription is a value, and how long ago it was read.
type ReadingDescription struct {
	Value      float64 `json:"value"`
	AgeSeconds float64 `json:"ageSeconds"`
}

// AdaptersDescription is the LoRA adapters of the requests that run and that wait, and how many may run at once.
type AdaptersDescription struct {
	Running    []string `json:"running"`
	Waiting    []string `json:"waiting"`
	Max        int      `json:"max"`
	AgeSeconds float64  `json:"ageSeconds"`
}

// describeLoad returns s as it is seen at now; nil if nothing was ever read.
func describeLoad(s *balancer.Signals, now int64) *LoadDescription {
	if s == nil {
		return nil
	}
	reading := func(r balancer.Reading) *ReadingDescription {
		if !r.Known() {
			return nil
		}
		return &ReadingDescription{r.Value, seconds(r.Age(now))}
	}
	d := &LoadDescription{
		Waiting: reading(s.Waiting), Running: reading(s.Running), InFlight: s.InFlight, KVCache: reading(s.KVCache),
		PrefixHits: reading(s.PrefixHits), PrefixQueries: reading(s.PrefixQueries), BlockSize: reading(s.BlockSize), Blocks: reading(s.Blocks),
		GPUUtilization: reading(s.GPUUtilization), GPUMemoryUsed: reading(s.GPUMemoryUsed), GPUMemoryTotal: reading(s.GPUMemoryTotal),
		Failure: s.Failure,
	}
	if a := s.Adapters; a != nil {
		age := balancer.Reading{At: a.At}.Age(now)
		d.Adapters = &AdaptersDescription{append([]string{}, a.Running...), append([]string{}, a.Waiting...), a.Max, seconds(age)}
	}
	return d
}

// seconds rounds to ms, which is more than an age is good for.
func seconds(ns int64) float64 { return time.Duration(ns).Round(time.Millisecond).Seconds() }
