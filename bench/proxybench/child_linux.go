package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is a process that the harness started, with everything that it started in turn.
type child struct {
	name   string
	cmd    *exec.Cmd
	output tail
	exited chan struct{}
}

// tail keeps the last bytes of what a child says.
type tail struct {
	mu    sync.Mutex
	bytes []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes = append(t.bytes, p...)
	t.bytes = t.bytes[max(0, len(t.bytes)-4096):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.bytes))
}

// startChild starts a program at its place. parentDeath is the signal that it gets if the harness dies without stopping
// it; stdout may be nil.
func startChild(name string, at place, parentDeath syscall.Signal, stdout io.Writer, program string, args ...string) (*child, error) {
	c := &child{name: name, cmd: exec.Command(program, args...), exited: make(chan struct{})}
	c.cmd.Stderr = &c.output
	c.cmd.Stdout = &c.output
	if stdout != nil {
		c.cmd.Stdout = stdout
	}
	c.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	// A session of its own keeps Ctrl-C from the child, so that the harness sees it first, and lets its children be killed with it.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: parentDeath}
	if err := startPinned(c.cmd, at); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// stop kills the child and its children and waits until it is gone. It may be called again.
func (c *child) stop() {
	if c == nil {
		return
	}
	// The group is killed even if its leader has ended: a worker may be left.
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	<-c.exited
}

// pids lists the child and all processes below it.
func (c *child) pids() []int {
	all := []int{c.cmd.Process.Pid}
	for i := 0; i < len(all); i++ {
		file := fmt.Sprintf("/proc/%d/task/%d/children", all[i], all[i])
		list, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for field := range bytes.FieldsSeq(list) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}

const startTime = 10 * time.Second

// awaitAnswer returns once a request through addr is answered as it must be.
func (c *child) awaitAnswer(ctx context.Context, speaks protocol, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	var last error
	for {
		if last = probe(speaks, addr); last == nil {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("cannot run %s: it ended (%v): %s", c.name, c.cmd.ProcessState, c.output.String())
		case <-ctx.Done():
			return fmt.Errorf("cannot reach the backend through %s: %w; it says: %s", c.name, errors.Join(last, context.Cause(ctx)), c.output.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
