package main

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// ownPID is this process.
func ownPID() int { return os.Getpid() }

// cpuTime is the processor time that a process has used, in seconds, to a hundredth. It is known on Linux only.
func cpuTime(pid int) (float64, bool) {
	if pid == 0 {
		return 0, false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	// The second field is the program's name in brackets, and may have anything in it.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	const user, system = 14 - 3, 15 - 3 // proc_pid_stat(5) counts from 1, and the first two are gone
	if len(fields) <= system {
		return 0, false
	}
	ticks := 0
	for _, i := range []int{user, system} {
		n, err := strconv.Atoi(string(fields[i]))
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs on Linux
	return (time.Duration(ticks) * tick).Seconds(), true
}
