package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// usageOf adds up the usage of processes.
func usageOf(pids []int) (usage, error) {
	var sum usage
	for _, pid := range pids {
		cpu, err := cpuTime(pid)
		if err != nil {
			return usage{}, err
		}
		sum.CPU += cpu
	}
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return usage{}, fmt.Errorf("cannot read the CPU time of process %d: %w", pid, err)
		}
		user, system, err := parseStat(stat)
		if err != nil {
			return usage{}, err
		}
		sum.User, sum.System = sum.User+user, sum.System+system
		sum.Switches += switches(pid)
	}
	return sum, nil
}

// cpuTime is the CPU time of a process in nanoseconds, over all its threads, ended ones too. It reads the process's CPU clock
// (clock_getcpuclockid), which the scheduler keeps exactly, unlike the ticks of /proc/PID/stat.
func cpuTime(pid int) (int64, error) {
	const scheduler = 2 // CPUCLOCK_SCHED
	clock := int32(^pid)<<3 | scheduler
	var t syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, fmt.Errorf("cannot read the CPU clock of process %d: %w", pid, errno)
	}
	return t.Nano(), nil
}
