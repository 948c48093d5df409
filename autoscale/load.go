package autoscale

import (
	"fmt"
	"math"
	"strings"
)

// Load is what this replica of the gateway knows of a pool. Counts are never negative.
type Load struct {
	// Pool is the pool's name.
	Pool string
	// Service and Namespace name the Kubernetes Service that the pool's endpoints are of; empty if they are of none.
	Service, Namespace string
	// Queued and Outstanding are requests of this replica; Outstanding has the queued ones in it.
	Queued, Outstanding int64
	// Tokens are prompt tokens of this replica's requests that are still to be computed.
	Tokens int64
	// KVCache is the sum, over the pool's endpoints, of the share of the KV cache in use. It holds if KVCacheKnown is set: if all endpoints were
	// read lately.
	KVCache      float64
	KVCacheKnown bool
}

// numbers is what a replica tells the others of a pool. What it does not know is nil.
type numbers struct {
	Queued      *int64   `json:"queued,omitempty"`
	Outstanding *int64   `json:"outstanding,omitempty"`
	Tokens      *int64   `json:"tokens,omitempty"`
	KVCache     *float64 `json:"kvCache,omitempty"`
}

func (l *Load) numbers() numbers {
	n := numbers{Queued: &l.Queued, Outstanding: &l.Outstanding, Tokens: &l.Tokens}
	if l.KVCacheKnown {
		n.KVCache = &l.KVCache
	}
	return n
}

// check says what is wrong with numbers from elsewhere.
func (n numbers) check() error {
	for _, v := range []*int64{n.Queued, n.Outstanding, n.Tokens} {
		if v != nil && *v < 0 {
			return fmt.Errorf("%d requests or tokens, which cannot be", *v)
		}
	}
	if v := n.KVCache; v != nil && (*v < 0 || math.IsNaN(*v) || math.IsInf(*v, 0)) {
		return fmt.Errorf("KV caches in use by %v, which cannot be", *v)
	}
	return nil
}

// share is what a replica adds to a pool's numbers. An empty replica is this one.
type share struct {
	replica string
	numbers
}

// metric is a metric that autoscalers can ask for.
type metric struct {
	name string
	// total is the metric over all replicas. The error, a notKnown, says whose number is missing.
	total func([]share) (float64, error)
	// perService is the metric of a Service with several pools.
	perService func([]float64) float64
}

// Metrics are the names of the metrics that can be asked for. They mean what the series of that name mean in the gateway's own metrics, summed
// over all replicas of the gateway; penstock_kv_cache_utilization is a sum over the pool's endpoints, which all replicas see alike.
var Metrics = []string{defaultMetric, "penstock_queue_depth", "penstock_outstanding_tokens", "penstock_kv_cache_utilization"}

const defaultMetric = "penstock_outstanding_requests"

var metrics = []*metric{
	{Metrics[0], sum("outstanding requests", func(n numbers) *int64 { return n.Outstanding }), add},
	{Metrics[1], sum("queued requests", func(n numbers) *int64 { return n.Queued }), add},
	{Metrics[2], sum("outstanding tokens", func(n numbers) *int64 { return n.Tokens }), add},
	{Metrics[3], meanKVCache, mean}, // the pools of a Service have the same pods
}

// findMetric returns the metric of that name, nil if there is none.
func findMetric(name string) *metric {
	for _, m := range metrics {
		if m.name == name {
			return m
		}
	}
	return nil
}

func sum(what string, of func(numbers) *int64) func([]share) (float64, error) {
	return func(all []share) (float64, error) {
		total := 0.0
		for _, s := range all {
			v := of(s.numbers)
			if v == nil {
				return 0, notKnown(fmt.Sprintf("replica %s does not tell its %s: it may be of another version", s.replica, what))
			}
			total += float64(*v)
		}
		return total, nil
	}
}

// meanKVCache is the mean over the replicas that know it: each has read all endpoints.
func meanKVCache(all []share) (float64, error) {
	var known []float64
	for _, s := range all {
		if s.KVCache != nil {
			known = append(known, *s.KVCache)
		}
	}
	if len(known) == 0 {
		return 0, notKnown("no replica of the gateway has read the metrics of all the pool's endpoints within the last minute; " +
			"the pool's engine says which they are")
	}
	return mean(known), nil
}

func add(all []float64) (total float64) {
	for _, v := range all {
		total += v
	}
	return total
}

func mean(all []float64) float64 { return add(all) / float64(len(all)) }

// notKnown is the error of numbers that are not known yet, or not known in full. It says what is missing.
type notKnown string

func (n notKnown) Error() string { return string(n) }

// someOf joins names for people, at most ten of them.
func someOf(names []string) string {
	const most = 10
	if len(names) == 0 {
		return "none"
	}
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}
