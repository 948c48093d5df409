package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// measure runs a scenario's load through one proxy. A measurement in which any request failed is an error: it does not count.
func (f *fleet) measure(ctx context.Context, s scenario, m *member) ([]loadResult, error) {
	if s.fresh {
		if err := f.start(ctx, m); err != nil {
			return nil, err
		}
	}
	spec := s.load
	spec.Target = netip.MustParseAddrPort(m.Listen)
	backend := f.backends[m.protocol]
	spec.Backend = backend.pids()
	spec.LoadCores = f.options.loadCores
	if m.child != nil {
		spec.Proxy = m.child.pids()
		spec.ProxyCores = f.options.proxyPlace().cores
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("cannot write the load's specification: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program: %w", err)
	}
	var loads []*child
	defer func() {
		for _, l := range loads {
			l.stop()
		}
	}()
	at := f.options.loadPlace()
	at.yields = s.yields
	outputs := make([]bytes.Buffer, max(1, s.generators))
	for i := range outputs {
		load, err := startChild("load", at, syscall.SIGKILL, &outputs[i], self, "load", string(text))
		if err != nil {
			return nil, err
		}
		loads = append(loads, load)
	}
	ctx, cancel := context.WithTimeout(ctx, spec.WarmUp+spec.Window+90*time.Second)
	defer cancel()
	var results []loadResult
	for i, load := range loads {
		select {
		case <-load.exited:
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot measure %s through %s: %w", s.name, m.name, context.Cause(ctx))
		case <-backend.exited:
			return nil, fmt.Errorf("cannot measure %s through %s: the backend ended: %s", s.name, m.name, backend.output.String())
		}
		var r loadResult
		if err := json.Unmarshal(outputs[i].Bytes(), &r); err != nil {
			return nil, fmt.Errorf("cannot measure %s through %s: the load generator says: %s%s", s.name, m.name, load.output.String(), complaints(m.child, backend))
		}
		if r.Failures > 0 {
			return nil, fmt.Errorf("failures: %d: %s%s", r.Failures, strings.Join(r.Errors, "; "), complaints(m.child, backend))
		}
		results = append(results, r)
	}
	if s.fresh {
		// Not every proxy notices that thousands of silent clients have left; what it keeps open must not burden what comes next.
		return results, f.start(ctx, m)
	}
	return results, nil
}

// complaints is what processes said last, if anything.
func complaints(children ...*child) string {
	said := ""
	for _, c := range children {
		if c == nil {
			continue
		}
		select {
		case <-c.exited:
			said += fmt.Sprintf("; %s has ended (%v)", c.name, c.cmd.ProcessState)
		default:
		}
		if text := c.output.String(); text != "" {
			said += "; " + c.name + " says: " + text
		}
	}
	return said
}
