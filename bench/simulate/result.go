package simulate

import (
	"slices"
	"time"
)

// Ending says how a request ended.
type Ending uint8

const (
	// Completed requests got their last token.
	Completed Ending = iota
	// Failed requests had their replica die, or found none that listens, or were too long for it.
	Failed
	// QueueFull requests found no room in the gateway's queue.
	QueueFull
	// QueueTimeout requests waited for too long in it.
	QueueTimeout
)

// Outcome is what became of a request. Times are in ns since the run's beginning.
type Outcome struct {
	Arrived, FirstToken, Ended int64
	// Replica is the number of the last one that it was sent to.
	Replica int32
	// CachedTokens is how many of its prompt were in the replica's cache.
	CachedTokens int32
	Ending       Ending
}

// Result is how a run went. Shares are 0 to 1, times in seconds but TPOT, which is in milliseconds.
type Result struct {
	Policy   string `json:"policy"`
	Seed     uint64 `json:"seed"`
	Requests int    `json:"requests"`
	// Goodput is the share of requests that met all objectives.
	Goodput float64 `json:"goodput"`
	// GoodRate is requests a second that met them, over the trace's time.
	GoodRate float64 `json:"goodRate"`
	// MetTTFT and MetTPOT are the shares that met the one objective.
	MetTTFT float64 `json:"metTTFT"`
	MetTPOT float64 `json:"metTPOT"`
	// Failed and Refused are requests that broke and that the gateways turned away.
	Failed  int          `json:"failed"`
	Refused int          `json:"refused"`
	TTFT    Distribution `json:"ttft"`
	TPOT    Distribution `json:"tpot"`
	Latency Distribution `json:"latency"`
	// CacheHits is the share of prompt tokens that replicas had in their caches.
	CacheHits float64 `json:"cacheHits"`
	// Imbalance is the most requests of a replica over the mean.
	Imbalance float64 `json:"imbalance"`
	// TokenImbalance is the same of tokens that had to be computed: prompts beyond what was cached, and answers.
	TokenImbalance float64 `json:"tokenImbalance"`
	// ReplicaHours is the time that replicas were there.
	ReplicaHours float64 `json:"replicaHours"`
	// MaxReplicas is the most that were ready at once.
	MaxReplicas int `json:"maxReplicas"`
	// Duration is until the last request ended.
	Duration float64 `json:"duration"`

	// Outcomes is what became of each request, in the trace's order.
	Outcomes []Outcome `json:"-"`
}

// Distribution is a sample's mean and percentiles.
type Distribution struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

func distributionOf(sample []float64) Distribution {
	if len(sample) == 0 {
		return Distribution{}
	}
	slices.Sort(sample)
	sum := 0.0
	for _, v := range sample {
		sum += v
	}
	at := func(q float64) float64 { return sample[min(int(q*float64(len(sample))), len(sample)-1)] }
	return Distribution{Mean: sum / float64(len(sample)), P50: at(.5), P90: at(.9), P99: at(.99), Max: sample[len(sample)-1]}
}

// TTFT is the time from arrival to first token, in ns.
func (o *Outcome) TTFT() int64 { return o.FirstToken - o.Arrived }

func (w *world) result() *Result {
	res := &Result{Policy: w.o.Policy, Seed: w.o.Seed, Requests: len(w.outcomes), Outcomes: w.outcomes, Duration: float64(w.now) / 1e9}
	t := w.tally(res)
	res.TTFT, res.TPOT, res.Latency = distributionOf(t.ttft), distributionOf(t.tpot), distributionOf(t.latency)
	n := float64(res.Requests)
	res.Goodput, res.MetTTFT, res.MetTPOT = float64(t.good)/n, float64(t.metTTFT)/n, float64(t.metTPOT)/n
	if d := w.o.Trace.Duration().Seconds(); d > 0 {
		res.GoodRate = float64(t.good) / d
	}
	if t.prompt > 0 {
		res.CacheHits = float64(t.cached) / float64(t.prompt)
	}
	res.Imbalance, res.TokenImbalance = imbalance(t.requests), imbalance(t.tokens)
	res.ReplicaHours, res.MaxReplicas = w.replicaHours(), w.peak
	return res
}

// tally is what outcomes add up to.
type tally struct {
	ttft, tpot, latency    []float64
	good, metTTFT, metTPOT int
	prompt, cached         int64
	requests, tokens       []float64 // by replica
}

func (w *world) tally(res *Result) *tally {
	n := len(w.outcomes)
	t := &tally{
		ttft: make([]float64, 0, n), tpot: make([]float64, 0, n), latency: make([]float64, 0, n),
		requests: make([]float64, len(w.replicas)), tokens: make([]float64, len(w.replicas)),
	}
	for i := range w.outcomes {
		o, q := &w.outcomes[i], &w.o.Trace.Requests[i]
		switch o.Ending {
		case Failed:
			res.Failed++
			continue
		case QueueFull, QueueTimeout:
			res.Refused++
			continue
		}
		t.prompt += int64(q.PromptTokens)
		t.cached += int64(o.CachedTokens)
		t.requests[o.Replica]++
		t.tokens[o.Replica] += float64(q.PromptTokens - int(o.CachedTokens) + q.OutputTokens)
		t.ttft = append(t.ttft, float64(o.TTFT())/1e9)
		t.latency = append(t.latency, float64(o.Ended-o.Arrived)/1e9)
		metTTFT := w.o.Objectives.TTFT == 0 || o.TTFT() <= int64(w.o.Objectives.TTFT)
		metTPOT := true
		if q.OutputTokens > 1 {
			tpot := float64(o.Ended-o.FirstToken) / float64(q.OutputTokens-1)
			t.tpot = append(t.tpot, tpot/1e6)
			metTPOT = w.o.Objectives.TPOT == 0 || tpot <= float64(w.o.Objectives.TPOT)
		}
		t.count(metTTFT, metTPOT)
	}
	return t
}

func (t *tally) count(metTTFT, metTPOT bool) {
	if metTTFT {
		t.metTTFT++
	}
	if metTPOT {
		t.metTPOT++
	}
	if metTTFT && metTPOT {
		t.good++
	}
}

// imbalance is the most over the mean.
func imbalance(of []float64) float64 {
	sum := 0.0
	for _, v := range of {
		sum += v
	}
	if sum == 0 {
		return 0
	}
	return slices.Max(of) * float64(len(of)) / sum
}

// replicaHours is the time that replicas were there, from when they began to start.
func (w *world) replicaHours() float64 {
	total := int64(0)
	for _, r := range w.replicas {
		end := w.now
		if r.state == replicaDead {
			end = r.stopAt
		}
		total += end - r.madeAt
	}
	return time.Duration(total).Hours()
}
