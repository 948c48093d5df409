package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// filesPerStream is how many files a proxy has open for one stream: the client's connection and the backend's.
const filesPerStream = 2

// spareFiles is what a proxy needs besides: its listeners, logs, epoll sets and timers.
const spareFiles = 200

// compare measures everything in rounds and writes the reports.
func compare(ctx context.Context, o options, args []string) error {
	proxies, err := choose(table(o.penstock), o.proxies, o.penstock)
	if err != nil {
		return err
	}
	files, err := raiseFileLimit(uint64(filesPerStream*o.streams + 2*spareFiles))
	if err != nil {
		return err
	}
	streams := min(o.streams, (int(files)-spareFiles)/filesPerStream)
	if streams < o.streams {
		fmt.Fprintf(os.Stderr, "the limit of %d open files allows %d streams for each proxy, not %d\n", files, streams, o.streams)
	}
	chosen, err := pick(scenarios(o.quick, streams), o.only)
	if err != nil {
		return err
	}
	for i := range chosen {
		chosen[i] = chosen[i].within(o.window)
	}
	f, err := startFleet(ctx, proxies, protocolsOf(chosen), o, files)
	defer f.stop()
	if err != nil {
		return err
	}
	r := newReport(o, args, chosen, proxies)
	for round := range o.rounds {
		if err := f.round(ctx, r, chosen, round); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder for results: %w", err)
	}
	if err := r.write(o.out, os.Stdout); err != nil {
		return err
	}
	if o.perf {
		if err := f.profile(ctx, chosen, o.out); err != nil {
			return err
		}
	}
	return r.validity()
}

// round makes each measurement once with every proxy in turn.
func (f *fleet) round(ctx context.Context, r *report, chosen []scenario, round int) error {
	single := map[string]float64{} // requests per second at 64 connections by proxy, for the doubled generator
	for _, s := range chosen {
		measured := make([][]loadResult, len(f.members))
		var direct *loadResult
		for i, m := range f.members {
			if m.protocol != s.protocol() || m.args == nil && !s.direct {
				continue
			}
			results, err := f.measure(ctx, s, m)
			if ctx.Err() != nil {
				return fmt.Errorf("stopped in round %d: %w", round+1, context.Cause(ctx))
			}
			if err != nil {
				r.invalid(s.name, m.name, round, err)
				fmt.Fprintf(os.Stderr, "round %d/%d  %-12s %-13s INVALID: %v\n", round+1, r.Rounds, s.name, m.name, err)
				if err := f.start(ctx, m); err != nil {
					return err
				}
				continue
			}
			measured[i] = results
			if m.args == nil {
				direct = &results[0]
			}
			if s.name == "json64" {
				single[m.name] = throughput(results, requests)
			}
		}
		for i, m := range f.members {
			if measured[i] == nil {
				continue
			}
			o := outcome{results: measured[i], proxied: m.args != nil, direct: direct, single: single[m.name]}
			r.add(s, m.name, round, o)
		}
		fmt.Fprintf(os.Stderr, "round %d/%d  %-12s %s\n", round+1, r.Rounds, s.name, r.line(s, round))
	}
	return nil
}

// profileTime is how long perf samples.
const profileTime = 4 * time.Second

var errNoPerf = errors.New("cannot find perf; on Debian or Ubuntu: sudo apt-get install linux-perf (or linux-tools-generic)")
