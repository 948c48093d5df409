package simulate

import (
	"math"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/engine"
)

func init() {
	rivals["rival-llm-d"] = func(g *gateway) (balancer.Policy, error) {
		return &scorers{rival: rival{g: g}, index: newBlockIndex(llmdBlocks), read: make(map[*balancer.Endpoint]engine.Stats)}, nil
	}
}

// scorers is the default of llm-d's endpoint picker (llm-d.ai, Gateway API Inference Extension): the highest sum of 2 for a short queue, 2
// for a free KV cache and 3 for the share of the prompt that was sent there before. Queues are normalised between the shortest and the
// longest. Queue and cache are read every 50 ms, which is its default.
type scorers struct {
	rival
	index    *blockIndex
	read     map[*balancer.Endpoint]engine.Stats
	readAt   int64
	snapshot *balancer.Snapshot // whose endpoints were read
}

const (
	llmdQueueWeight  = 2
	llmdKVWeight     = 2
	llmdPrefixWeight = 3
	llmdBlocks       = 31250 // lruCapacityPerServer
	llmdRefresh      = 50 * time.Millisecond
)

func (p *scorers) Pick(s *balancer.Snapshot, r *balancer.Request) *balancer.Endpoint {
	p.refresh(s)
	least, most := math.Inf(1), 0.0
	for i := range s.Len() {
		q := float64(p.read[s.At(i)].Waiting)
		least, most = min(least, q), max(most, q)
	}
	blocks := p.blocks(p.request(r))
	highest := best{request: r}
	candidates(s, r, func(e *balancer.Endpoint) {
		queue, kv := float64(p.read[e].Waiting), p.read[e].KVUsage
		score := llmdQueueWeight + llmdKVWeight*(1-kv)
		if most > least {
			score += llmdQueueWeight * ((most-queue)/(most-least) - 1)
		}
		if len(blocks) > 0 {
			score += llmdPrefixWeight * float64(p.index.match(e, blocks)) / float64(len(blocks))
		}
		highest.offer(e, score)
	})
	if highest.chosen != nil {
		p.index.insert(highest.chosen, blocks)
	}
	return highest.chosen
}

// refresh reads the metrics of all endpoints if the last reading is too old, or there are others now.
func (p *scorers) refresh(s *balancer.Snapshot) {
	now := p.g.w.now
	if p.snapshot == s && now-p.readAt < int64(llmdRefresh) {
		return
	}
	p.snapshot, p.readAt = s, now
	clear(p.read)
	for i := range s.Len() {
		p.read[s.At(i)] = s.At(i).Data.(*replica).engine.Stats()
	}
}
