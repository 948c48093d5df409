package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// scenario is one kind of measurement, made with every proxy in every round.
type scenario struct {
	name  string
	title string
	// load is what the generator does; the addresses and processes are filled in later.
	load loadSpec
	// generators is how many of them share the load; 0 is one.
	generators int
	// direct says whether the load can also go to the backend without a proxy.
	direct bool
	// yields keeps the generator from taking its core away from the backend whenever something comes. Otherwise a backend that
	// shares the core is interrupted for each message of a stream, and no proxy ever has to keep up with it.
	yields bool
	// fresh starts the proxy anew before and after each measurement.
	fresh bool
	// columns are the metrics of the report; the first is what the scenario is about.
	columns []metric
	// targets are what Penstock is to reach.
	targets []target
}

func (s scenario) protocol() protocol { return s.load.protocol() }

// protocolsOf lists what the scenarios speak.
func protocolsOf(chosen []scenario) []protocol {
	var spoken []protocol
	for _, s := range chosen {
		if !slices.Contains(spoken, s.protocol()) {
			spoken = append(spoken, s.protocol())
		}
	}
	return spoken
}

// metric is one measured quantity.
type metric struct {
	key   string
	title string
	// format prints one value.
	format string
	// scale is what values are multiplied with before they are printed.
	scale float64
	// ratio reports the metric as a multiple of HAProxy's, too.
	ratio bool
	// of computes the value; NaN where it has no meaning.
	of func(outcome) float64
}

// outcome is all that one measurement of one proxy gave, with what it is compared with in the same round.
type outcome struct {
	results []loadResult // of each generator
	proxied bool
	direct  *loadResult // the same load without a proxy; nil where it was not measured
	single  float64     // requests per second of a single generator in the same round; 0 where it was not measured
}

// scenarios lists every measurement, in the order in which they are made. quick shortens warm-up and window.
func scenarios(quick bool, streams int) []scenario {
	second := func(long, short float64) time.Duration {
		if quick {
			long = short
		}
		return time.Duration(long * float64(time.Second))
	}
	warm := second(0.5, 0.3)
	closed := func(conns int) loadSpec {
		return loadSpec{Shape: shapeClosed, Conns: conns, WarmUp: warm, Window: second(2, 1)}
	}
	request := append([]metric{perOp("request", requests), rate("requests/s", requests)}, effort(requests)...)
	event := append([]metric{perOp("chunk", events), rate("chunks/s", events)}, effort(events)...)
	http := []scenario{
		{name: "json64", title: "JSON POST, 64 connections, closed loop", load: closed(64), direct: true, columns: request,
			targets: []target{{"cpu", nameHAProxy, 1.1}}},
		{name: "json4", title: "JSON POST, 4 connections, closed loop", load: closed(4), direct: true, columns: request},
		{
			name: "paced", title: "Paced SSE: 100 streams, a chunk of 150 bytes each 10 ms", direct: true,
			load:    loadSpec{Shape: shapeStream, Kind: kindPaced, Conns: 100, Interval: 10 * time.Millisecond, WarmUp: warm, Window: second(2, 1)},
			columns: append(slices.Clone(event), latency("p50", "delay p50", p50), latency("p99", "delay p99", p99)),
			targets: []target{{"cpu", nameHAProxy, 1.15}},
		},
		{
			name: "burst", title: "Burst SSE: 8 streams of 2,000 chunks of 150 bytes, each chunk its own write", direct: true,
			load:    loadSpec{Shape: shapeStream, Kind: kindBurst, Conns: 8, Events: 2000, WarmUp: warm, Window: second(2, 1)},
			columns: event, targets: []target{{"cpu", nameHAProxy, 1.3}},
		},
		{
			name: "latency", title: "Added latency: JSON POST, 500 requests/s, open loop", direct: true,
			load: loadSpec{Shape: shapeOpen, Conns: 16, Rate: 500, WarmUp: warm, Window: second(4, 2)},
			columns: []metric{
				addedLatency("added_p50", "added p50", p50), addedLatency("added_p99", "added p99", p99),
				latency("p50", "p50", p50), latency("p99", "p99", p99),
			},
		},
		{
			name: "memory", title: fmt.Sprintf("Memory per open SSE stream: %d streams, one chunk each, then silence", streams),
			load: loadSpec{Shape: shapeHold, Kind: kindHold, Conns: streams, WarmUp: 0, Window: second(1, 0.5)}, fresh: true,
			columns: memoryColumns(), targets: []target{{"pss", noBase, 20}},
		},
		{
			name: "limit", title: "Doubled generator: two generators, 32 connections each", load: closed(32), generators: 2, direct: true,
			columns: append([]metric{rate("requests/s", requests), gain()}, effort(requests)[2:]...),
		},
	}
	return append(http, grpcScenarios(warm, second(2, 1), second(4, 2))...)
}

// within measures in a window of the given length, after a warm-up that is no longer; 0 changes nothing.
func (s scenario) within(window time.Duration) scenario {
	if window > 0 {
		s.load.Window, s.load.WarmUp = window, min(s.load.WarmUp, window)
	}
	return s
}

// pick keeps the named scenarios; no names keeps all.
func pick(all []scenario, names []string) ([]scenario, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []scenario
	var known []string
	for _, s := range all {
		known = append(known, s.name)
		if slices.Contains(names, s.name) {
			chosen = append(chosen, s)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no measurement %q; choose from %s", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}
