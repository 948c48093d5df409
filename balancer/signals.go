package balancer

// Reading is a value that was read from an endpoint, and when. The zero value was never read.
type Reading struct {
	// Value is finite and not negative.
	Value float64
	// At is when it was read, in monotonic ns; 0 is never.
	At int64
}

// Known reports whether the value was ever read.
func (r Reading) Known() bool { return r.At != 0 }

// Age returns how long ago the value was read, in ns, given the time now. That of a value that was never read has no meaning.
func (r Reading) Age(now int64) int64 { return max(now-r.At, 0) }

// Signals is what an endpoint said of its own load. It is immutable: who learns something new makes another one, in which all that was
// not said again keeps its old time. An endpoint that has fallen silent thus shows by the age of its readings.
type Signals struct {
	// Waiting and Running are requests, of all gateways and clients.
	Waiting, Running Reading
	// KVCache is the share of the KV cache that is in use, 0 to 1; of several caches the fullest one's.
	KVCache Reading
	// PrefixHits and PrefixQueries are rates since the reading before, per second: what was found in the prefix cache, and what was looked
	// for. The engine sets the unit, mostly tokens, so only their quotient compares.
	PrefixHits, PrefixQueries Reading
	// BlockSize is the length of a block of the KV cache in tokens, Blocks how many there are.
	BlockSize, Blocks Reading
	// GPUUtilization is the mean over the GPUs, 0 to 1. It says whether a GPU is in use and not how much more it could do.
	GPUUtilization Reading
	// GPUMemoryUsed and GPUMemoryTotal are sums over the GPUs, in bytes.
	GPUMemoryUsed, GPUMemoryTotal Reading
	// Adapters are the LoRA adapters; nil if the endpoint never spoke of any.
	Adapters *Adapters
	// InFlight is what this gateway itself had in flight there when the endpoint last said something: its own share of Waiting and Running.
	InFlight int64
	// Failure says why the endpoint could not be asked, or told nothing of use, the last time; empty if it answered.
	Failure string
}

// Adapters are the LoRA adapters of an endpoint. It is immutable.
type Adapters struct {
	// Running and Waiting name the adapters of the requests that run and that wait.
	Running, Waiting []string
	// Max is how many adapters may run at once; 0 if the endpoint does not say.
	Max int
	// At is when this was read, in monotonic ns.
	At int64

	hashes []uint64 // of Running and Waiting
}

// AdapterHash is the hash of an adapter's name that Request.Adapter has, never 0.
func AdapterHash(name []byte) uint64 { return max(Hash64(name), 1) }

// NewAdapters returns adapters that were read at a time.
func NewAdapters(running, waiting []string, most int, at int64) *Adapters {
	a := &Adapters{Running: running, Waiting: waiting, Max: most, At: at}
	for _, names := range [2][]string{running, waiting} {
		for _, name := range names {
			a.hashes = append(a.hashes, AdapterHash([]byte(name)))
		}
	}
	return a
}

// Since returns the same adapters as read at another time.
func (a *Adapters) Since(at int64) *Adapters {
	again := *a
	again.At = at
	return &again
}

// has reports whether an adapter is loaded, or about to be.
func (a *Adapters) has(hash uint64) bool {
	for _, h := range a.hashes {
		if h == hash {
			return true
		}
	}
	return false
}

// Oldest returns the oldest of the readings that say how busy the endpoint is: Waiting, Running and KVCache. Those that were never read
// are left out; if none was, neither is the result.
func (s *Signals) Oldest() Reading {
	var oldest Reading
	for _, r := range [...]Reading{s.Waiting, s.Running, s.KVCache} {
		if r.Known() && (!oldest.Known() || r.At < oldest.At) {
			oldest = r
		}
	}
	return oldest
}
