package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// usage is what some processes have used since they started.
type usage struct {
	CPU      int64 `json:"cpu"`      // nanoseconds, user and system, of all threads
	User     int64 `json:"user"`     // clock ticks in user mode; coarse, good for the share only
	System   int64 `json:"system"`   // clock ticks in the kernel
	Switches int64 `json:"switches"` // times that a thread went to sleep by itself
}

func (u usage) since(earlier usage) usage {
	return usage{CPU: u.CPU - earlier.CPU, User: u.User - earlier.User, System: u.System - earlier.System,
		Switches: u.Switches - earlier.Switches}
}

// userShare is the share of the CPU time spent in user mode, 0 to 1.
func (u usage) userShare() float64 {
	if u.User+u.System == 0 {
		return 0
	}
	return float64(u.User) / float64(u.User+u.System)
}

// parseStat reads utime and stime, in clock ticks, from /proc/PID/stat.
func parseStat(stat []byte) (user, system int64, err error) {
	// The second field is the command's name in parentheses, which may itself hold blanks and parentheses.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("cannot parse %q as /proc/PID/stat: too few fields", stat)
	}
	if user, err = strconv.ParseInt(fields[11], 10, 64); err == nil {
		system, err = strconv.ParseInt(fields[12], 10, 64)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("cannot parse %q as /proc/PID/stat: %w", stat, err)
	}
	return user, system, nil
}

// switches counts the voluntary context switches of a process's threads; threads that end meanwhile are left out.
func switches(pid int) int64 {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	var sum int64
	for _, file := range files {
		if status, err := os.ReadFile(file); err == nil {
			sum += numberAfter(status, "\nvoluntary_ctxt_switches:")
		}
	}
	return sum
}

// numberAfter is the whole number after a label, such as in "Pss:   12 kB"; 0 where the label is missing.
func numberAfter(text []byte, label string) int64 {
	_, rest, _ := bytes.Cut(text, []byte(label))
	fields := bytes.Fields(rest[:min(len(rest), 64)])
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return n
}

// memory is what some processes hold, in bytes.
type memory struct {
	RSS int64 `json:"rss"` // resident, shared pages counted in full
	PSS int64 `json:"pss"` // resident, shared pages divided by those who share them
}

// memoryOf adds up the memory of processes.
func memoryOf(pids []int) (memory, error) {
	var sum memory
	for _, pid := range pids {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return memory{}, fmt.Errorf("cannot read the memory of process %d: %w", pid, err)
		}
		sum.RSS += numberAfter(rollup, "\nRss:") * 1024
		sum.PSS += numberAfter(rollup, "\nPss:") * 1024
	}
	return sum, nil
}

// coreTime is what one CPU core has done since boot, in clock ticks.
type coreTime struct {
	Busy  int64 `json:"busy"`
	Total int64 `json:"total"`
}

// coreTimeOf reads the time of one core, or of several together.
func coreTimeOf(cores []int) (coreTime, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return coreTime{}, fmt.Errorf("cannot read the time of CPU cores: %w", err)
	}
	var sum coreTime
	for _, core := range cores {
		t, err := parseCoreTime(stat, core)
		if err != nil {
			return coreTime{}, err
		}
		sum.Busy, sum.Total = sum.Busy+t.Busy, sum.Total+t.Total
	}
	return sum, nil
}

// parseCoreTime reads one core's line of /proc/stat: user nice system idle iowait irq softirq steal (and guest times, which user
// and nice hold already).
func parseCoreTime(stat []byte, core int) (coreTime, error) {
	_, rest, found := bytes.Cut(stat, fmt.Appendf(nil, "\ncpu%d ", core))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	fields := bytes.Fields(line)
	if !found || len(fields) < 8 {
		return coreTime{}, fmt.Errorf("cannot find core %d in /proc/stat", core)
	}
	var t coreTime
	for i, field := range fields[:8] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return coreTime{}, fmt.Errorf("cannot parse %q of core %d in /proc/stat: %w", field, core, err)
		}
		t.Total += n
		if i != 3 && i != 4 {
			t.Busy += n
		}
	}
	return t, nil
}
