package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

// cpuMask is a set of CPU cores as the kernel takes it.
type cpuMask [16]uint64

func maskOf(cores []int) (cpuMask, error) {
	var mask cpuMask
	for _, core := range cores {
		if core < 0 || core >= 64*len(mask) {
			return mask, fmt.Errorf("there is no CPU core %d", core)
		}
		mask[core/64] |= 1 << (core % 64)
	}
	return mask, nil
}

// Scheduling policies (sched(7)). A thread that is scheduled as a batch takes no core from another when it wakes up.
const (
	scheduleNormal = 0 // SCHED_OTHER
	scheduleBatch  = 3 // SCHED_BATCH
)

// schedule sets the calling thread's policy. Neither of the two needs privileges.
func schedule(policy uintptr) {
	var priority int32
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_SETSCHEDULER, 0, policy, uintptr(unsafe.Pointer(&priority)))
}

// startPinned starts a command at its place. A process inherits the cores, the policy and the nice value of the thread that starts it.
func startPinned(cmd *exec.Cmd, at place) error {
	mask, err := maskOf(at.cores)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before cpuMask
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(before), uintptr(unsafe.Pointer(&before))); errno != 0 {
		return fmt.Errorf("cannot read the CPU cores of this process: %w", errno)
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask))); errno != 0 {
		return fmt.Errorf("cannot pin to CPU cores %v: %w", at.cores, errno)
	}
	if at.yields {
		schedule(scheduleBatch)
	}
	err = startUrgent(cmd, at.nice)
	schedule(scheduleNormal)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(before), uintptr(unsafe.Pointer(&before))); errno != 0 && err == nil {
		return fmt.Errorf("cannot return to all CPU cores: %w", errno)
	}
	return err
}

// startUrgent starts a command with a nice value. Where the kernel schedules sessions as groups (CONFIG_SCHED_AUTOGROUP) a nice
// value counts only within the session, so the session gets it, too.
func startUrgent(cmd *exec.Cmd, nice int) error {
	if nice == 0 {
		return cmd.Start()
	}
	const thisThread = 0
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, thisThread, nice); err != nil {
		return fmt.Errorf("cannot set the nice value %d: %w", nice, err)
	}
	err := cmd.Start()
	if back := syscall.Setpriority(syscall.PRIO_PROCESS, thisThread, 0); back != nil && err == nil {
		return fmt.Errorf("cannot return to the nice value 0: %w", back)
	}
	if err == nil {
		// Kernels without such groups have no such file.
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", cmd.Process.Pid), []byte(strconv.Itoa(nice)), 0)
	}
	return err
}

// raiseFileLimit raises the limit of open files to want where that is allowed and returns the limit; children inherit it.
func raiseFileLimit(want uint64) (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	raised := syscall.Rlimit{Cur: want, Max: max(want, limit.Max)}
	if want > limit.Max {
		// Only a privileged process may raise the hard limit.
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			return want, nil
		}
		raised = syscall.Rlimit{Cur: limit.Max, Max: limit.Max}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		return 0, fmt.Errorf("cannot raise the limit of open files to %d: %w", raised.Cur, err)
	}
	return raised.Cur, nil
}
