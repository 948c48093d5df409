package main

import "math"

// count is the number of operations of one load result.
type count func(loadResult) int64

func requests(r loadResult) int64 { return r.Requests }
func events(r loadResult) int64   { return r.Events }
func p50(r loadResult) int64      { return r.P50 }
func p99(r loadResult) int64      { return r.P99 }

const (
	micro = 1e-3 // nanoseconds to microseconds
	kibi  = 1.0 / 1024
	mebi  = kibi / 1024
)

// perOp is the proxy's CPU time for each operation, in nanoseconds.
func perOp(op string, ops count) metric {
	return metric{key: "cpu", title: "CPU µs/" + op, format: "%.2f", scale: micro, ratio: true, of: func(o outcome) float64 {
		if !o.proxied {
			return math.NaN()
		}
		return over(float64(o.results[0].Proxy.CPU), ops(o.results[0]))
	}}
}

// rate is operations per second, over all generators.
func rate(title string, ops count) metric {
	return metric{key: "rate", title: title, format: "%.0f", scale: 1, of: func(o outcome) float64 {
		return throughput(o.results, ops)
	}}
}

func throughput(results []loadResult, ops count) float64 {
	sum := 0.0
	for _, r := range results {
		sum += over(float64(ops(r))*1e9, r.Nanos)
	}
	return sum
}

// effort is where the time goes: the user share of the CPU time per operation, sleeps per operation, and how busy the proxy, its
// core and the other cores were. The first two are meaningful for a single generator only.
func effort(ops count) []metric {
	proxyOnly := func(key, title, format string, scale float64, of func(loadResult) float64) metric {
		return metric{key: key, title: title, format: format, scale: scale, of: func(o outcome) float64 {
			if !o.proxied {
				return math.NaN()
			}
			return of(o.results[0])
		}}
	}
	return []metric{
		proxyOnly("user", "user µs", "%.2f", micro, func(r loadResult) float64 {
			return r.Proxy.userShare() * over(float64(r.Proxy.CPU), ops(r))
		}),
		proxyOnly("sleeps", "sleeps/op", "%.2f", 1, func(r loadResult) float64 { return over(float64(r.Proxy.Switches), ops(r)) }),
		proxyOnly("busy", "proxy busy", "%.0f%%", 100, func(r loadResult) float64 { return over(float64(r.Proxy.CPU), r.Nanos) }),
		proxyOnly("foreign", "foreign", "%.0f%%", 100, foreignShare),
		{key: "load_busy", title: "load busy", format: "%.0f%%", scale: 100, of: func(o outcome) float64 {
			return over(float64(o.results[0].LoadCore.Busy), o.results[0].LoadCore.Total)
		}},
	}
}

// foreignShare is the share of the proxy's core that went to anything else than the proxy: other processes, and interrupts that hit
// an idle core, for which the kernel charges nobody. The core's time is sampled at each tick, so a few percent may be chance.
func foreignShare(r loadResult) float64 {
	core := over(float64(r.ProxyCore.Busy), r.ProxyCore.Total)
	return max(0, core-over(float64(r.Proxy.CPU), r.Nanos))
}

// latency is a quantile in nanoseconds.
func latency(key, title string, quantile count) metric {
	return metric{key: key, title: title + " µs", format: "%.0f", scale: micro, of: func(o outcome) float64 {
		return float64(quantile(o.results[0]))
	}}
}

// addedLatency is a quantile, in nanoseconds, above the same quantile of the load that went directly to the backend.
func addedLatency(key, title string, quantile count) metric {
	return metric{key: key, title: title + " µs", format: "%.0f", scale: micro, ratio: true, of: func(o outcome) float64 {
		if !o.proxied || o.direct == nil {
			return math.NaN()
		}
		return float64(quantile(o.results[0]) - quantile(*o.direct))
	}}
}

func memoryColumns() []metric {
	bytes := func(key, title string, scale float64, of func(loadResult) float64) metric {
		return metric{key: key, title: title, format: "%.1f", scale: scale, of: func(o outcome) float64 { return of(o.results[0]) }}
	}
	columns := []metric{
		bytes("pss", "PSS KiB/stream", kibi, func(r loadResult) float64 { return over(float64(r.Open.PSS-r.Before.PSS), int64(r.Streams)) }),
		bytes("rss", "RSS KiB/stream", kibi, func(r loadResult) float64 { return over(float64(r.Open.RSS-r.Before.RSS), int64(r.Streams)) }),
		bytes("base", "PSS MiB before", mebi, func(r loadResult) float64 { return float64(r.Before.PSS) }),
		bytes("open", "PSS MiB open", mebi, func(r loadResult) float64 { return float64(r.Open.PSS) }),
	}
	columns[0].ratio = true
	return columns
}

// gain is the throughput as a multiple of a single generator's in the same round.
func gain() metric {
	return metric{key: "gain", title: "× one generator", format: "%.2f", scale: 1, of: func(o outcome) float64 {
		if o.single == 0 {
			return math.NaN()
		}
		return throughput(o.results, requests) / o.single
	}}
}

// over divides; nothing over nothing is no value.
func over(a float64, b int64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / float64(b)
}
