package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// profile runs each load once more while perf samples the proxy, and leaves the samples and a table of the functions on top.
// It is apart from the measurements because sampling costs time itself.
func (f *fleet) profile(ctx context.Context, chosen []scenario, out string) error {
	perf, err := exec.LookPath("perf")
	if err != nil {
		return errNoPerf
	}
	for _, s := range chosen {
		for _, m := range f.members {
			if m.child == nil || s.fresh || m.protocol != s.protocol() {
				continue
			}
			s.load.Window = profileTime
			if err := f.profileOne(ctx, perf, s, m, filepath.Join(out, "perf-"+s.name+"-"+m.name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fleet) profileOne(ctx context.Context, perf string, s scenario, m *member, path string) error {
	var pids []string
	for _, pid := range m.child.pids() {
		pids = append(pids, strconv.Itoa(pid))
	}
	args := []string{"record", "-q", "-g", "-F", "999", "-p", strings.Join(pids, ","), "-o", path + ".data", "--", "sleep", "4"}
	recorder, err := startChild("perf", f.options.loadPlace(), syscall.SIGKILL, nil, perf, args...)
	if err != nil {
		return err
	}
	defer recorder.stop()
	if _, err := f.measure(ctx, s, m); err != nil {
		return err
	}
	select {
	case <-recorder.exited:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !recorder.cmd.ProcessState.Success() {
		return fmt.Errorf("cannot profile %s: %s", m.name, recorder.output.String())
	}
	top, err := exec.CommandContext(ctx, perf, "report", "-i", path+".data", "--stdio", "--no-children", "-g", "none", "--percent-limit", "0.5").Output()
	if err != nil {
		return fmt.Errorf("cannot read the profile of %s: %w", m.name, err)
	}
	if err := os.WriteFile(path+".txt", bytes.TrimSpace(top), 0o644); err != nil {
		return fmt.Errorf("cannot write the profile of %s: %w", m.name, err)
	}
	fmt.Printf("profile of %s, %s: %s.txt and %s.data\n", m.name, s.name, path, path)
	return nil
}
