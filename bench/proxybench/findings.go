package main

import "fmt"

// clearly is by what factor the load without a proxy must beat the fastest proxy to show that the load is not the limit.
const clearly = 1.2

// saturated is the share of its core, in percent, above which a proxy counts as the limit of the throughput.
const saturated = 90

// disturbed is the share of the proxy's core, in percent, above which what else ran there may have changed the figures.
const disturbed = 5

// fullLoad are the measurements that show how much the load can be, and what they count.
var fullLoad = []struct{ scenario, operations, at string }{
	{"json64", "requests/s", "64 connections"},
	{"grpc_unary64", "gRPC calls/s", "64 calls at once"},
}

// findings says whether the figures can be trusted: whether the generator and the backend were the limit, and whether
// something else ran on the proxy's core. Then it says whether Penstock reached its targets.
func (r *report) findings() []string {
	var notes []string
	add := func(note string) {
		if note != "" {
			notes = append(notes, note)
		}
	}
	for _, full := range fullLoad {
		if part := r.section(full.scenario); part != nil {
			add(part.directFinding(full.operations, full.at))
			add(part.saturationFinding(full.at))
		}
	}
	add(r.doubledFinding())
	add(r.foreignFinding())
	return append(notes, r.targetFindings()...)
}

func (r *report) section(name string) *section {
	for _, part := range r.Scenarios {
		if part.Name == name {
			return part
		}
	}
	return nil
}

// directFinding compares the load without a proxy with the fastest proxy. Backend and generator share their cores in both, so
// what direct reaches is what they can reach.
func (s *section) directFinding(operations, at string) string {
	if s.entry(nameDirect) == nil {
		return ""
	}
	direct := s.entry(nameDirect).Values["rate"].Spread.Median
	fastest, best := "", 0.0
	for _, e := range s.Proxies {
		if rate := e.Values["rate"].Spread.Median; e.Name != nameDirect && rate > best {
			fastest, best = e.Name, rate
		}
	}
	if best == 0 || direct == 0 {
		return ""
	}
	verdict := "the load is clearly not the limit"
	if direct < clearly*best {
		verdict = "NOT clearly more: the load may be the limit, so compare CPU times, not throughputs"
	}
	return fmt.Sprintf("Backend and generator alone reach %.0f %s at %s, %.2f times the fastest proxy (%s, %.0f): %s.",
		direct, operations, at, direct/best, fastest, best, verdict)
}

// saturationFinding says whether the proxies, rather than the load, kept their core busy.
func (s *section) saturationFinding(at string) string {
	lowest, who := 101.0, ""
	for _, e := range s.Proxies {
		if busy := e.Values["busy"].Spread; busy.Rounds > 0 && busy.Median < lowest {
			lowest, who = busy.Median, e.Name
		}
	}
	if who == "" {
		return ""
	}
	verdict := "the proxies, not the load, were the limit"
	if lowest < saturated {
		verdict = "not all were the limit, so compare CPU times, not throughputs"
	}
	return fmt.Sprintf("At %s every proxy used at least %.0f %% of its core (least: %s): %s.", at, lowest, who, verdict)
}

func (r *report) doubledFinding() string {
	part := r.section("limit")
	if part == nil {
		return ""
	}
	highest, who := 0.0, ""
	for _, e := range part.Proxies {
		if gain := e.Values["gain"].Spread; e.Name != nameDirect && gain.Median > highest {
			highest, who = gain.Median, e.Name
		}
	}
	if who == "" {
		return ""
	}
	verdict := "one generator is enough"
	if highest > 1.1 {
		verdict = "one generator may be the limit"
	}
	return fmt.Sprintf("Two generators, with the same 64 connections in all, get at most %.2f times the requests of one (%s): %s.", highest, who, verdict)
}

func (r *report) foreignFinding() string {
	highest, who, where := 0.0, "", ""
	for _, part := range r.Scenarios {
		for _, e := range part.Proxies {
			if foreign, ok := e.Values["foreign"]; ok && foreign.Spread.Median > highest {
				highest, who, where = foreign.Spread.Median, e.Name, part.Name
			}
		}
	}
	if highest <= disturbed {
		return ""
	}
	return fmt.Sprintf("DISTURBED: up to %.0f %% of the proxy's core went to something else than the proxy (median over rounds; %s, %s): "+
		"other processes, or interrupts that no process is charged for. Ratios hold better than absolute figures.",
		highest, where, who)
}
