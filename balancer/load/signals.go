package load

import (
	"bytes"
	"math"
	"strconv"

	"github.com/penstock/penstock/balancer"
)

// history is what an endpoint's next page is held against.
type history struct {
	hits, queries float64
	at            int64 // when these were read, in monotonic ns; 0 if they were not
	labels        []byte
}

// signals returns what a page says, read at now, on top of what is known already, which may be nil.
func (t *tally) signals(known *balancer.Signals, h *history, now int64) *balancer.Signals {
	s := new(balancer.Signals)
	if known != nil {
		*s = *known
	}
	s.Failure = ""
	for _, r := range [...]struct {
		about signal
		to    *balancer.Reading
	}{
		{waiting, &s.Waiting}, {running, &s.Running}, {kvCache, &s.KVCache},
		{blockSize, &s.BlockSize}, {blocks, &s.Blocks},
		{gpuUtilization, &s.GPUUtilization}, {gpuMemoryUsed, &s.GPUMemoryUsed}, {gpuMemoryTotal, &s.GPUMemoryTotal},
	} {
		// What a load report has told since the page was made stays.
		if v, ok := t.value(r.about); ok && (!r.to.Known() || r.to.At <= now) {
			*r.to = balancer.Reading{Value: v, At: now}
		}
	}
	s.KVCache.Value = min(s.KVCache.Value, 1) // servers round, and some count a block too many
	if free, ok := t.value(gpuMemoryFree); ok && s.GPUMemoryUsed.At == now && !math.IsInf(s.GPUMemoryUsed.Value+free, 0) {
		s.GPUMemoryTotal = balancer.Reading{Value: s.GPUMemoryUsed.Value + free, At: now}
	}
	t.prefixRates(s, h, now)
	t.adapterLists(s, h, now)
	return s
}

// prefixRates makes rates of the counters of the prefix cache. The first page has none, nor has one after the server's restart.
func (t *tally) prefixRates(s *balancer.Signals, h *history, now int64) {
	hits, okHits := t.value(prefixHits)
	queries, okQueries := t.value(prefixQueries)
	if !okHits || !okQueries {
		return
	}
	if seconds := float64(now-h.at) / 1e9; h.at != 0 && seconds > 0 && hits >= h.hits && queries >= h.queries {
		s.PrefixHits = balancer.Reading{Value: (hits - h.hits) / seconds, At: now}
		s.PrefixQueries = balancer.Reading{Value: (queries - h.queries) / seconds, At: now}
	}
	h.hits, h.queries, h.at = hits, queries, now
}

// maxAdapters is how many names of adapters are kept of each list.
const maxAdapters = 1024

// adapterLists reads the labels of vllm:lora_requests_info. Lists that have not changed are kept and not made anew.
func (t *tally) adapterLists(s *balancer.Signals, h *history, now int64) {
	if len(t.adapters) == 0 {
		return
	}
	if s.Adapters != nil && bytes.Equal(t.adapters, h.labels) {
		s.Adapters = s.Adapters.Since(now)
		return
	}
	runs, _ := labelOf(t.adapters, "running_lora_adapters")
	waits, _ := labelOf(t.adapters, "waiting_lora_adapters")
	text, _ := labelOf(t.adapters, "max_lora")
	most, err := strconv.Atoi(string(text))
	if err != nil || most < 0 {
		most = 0
	}
	s.Adapters = balancer.NewAdapters(adapterNames(runs), adapterNames(waits), most, now)
	h.labels = append(h.labels[:0], t.adapters...)
}

// adapterNames are the names in the value of a label, which commas separate.
func adapterNames(value []byte) []string {
	var names []string
	for name := range bytes.SplitSeq(value, []byte{','}) {
		if name = bytes.TrimSpace(name); len(name) > 0 && len(names) < maxAdapters {
			names = append(names, unescaped(name))
		}
	}
	return names
}
