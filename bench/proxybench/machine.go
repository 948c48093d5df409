package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine is what the figures were measured on.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Load   string `json:"load"` // load averages at the start, over 1, 5 and 15 minutes
}

func thisMachine() machine {
	return machine{
		CPU:    labelled("/proc/cpuinfo", "model name"),
		Cores:  runtime.NumCPU(),
		Memory: gibibytes(labelled("/proc/meminfo", "MemTotal")),
		Kernel: contents("/proc/sys/kernel/osrelease"),
		Go:     runtime.Version(),
		Load:   contents("/proc/loadavg"),
	}
}

func contents(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// labelled is what follows "label:" on the first such line of a file under /proc.
func labelled(file, label string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range bytes.Lines(text) {
		name, value, found := bytes.Cut(line, []byte(":"))
		if found && string(bytes.TrimSpace(name)) == label {
			return string(bytes.TrimSpace(value))
		}
	}
	return "unknown"
}

// gibibytes turns "16777216 kB" into "16 GiB of memory".
func gibibytes(kilobytes string) string {
	var n int64
	if _, err := fmt.Sscanf(kilobytes, "%d kB", &n); err != nil {
		return kilobytes
	}
	return fmt.Sprintf("%.0f GiB of memory", float64(n)/(1<<20))
}
