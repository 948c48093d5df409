//go:build !linux

// Proxybench compares HTTP proxies side by side. It needs Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "proxybench: cannot measure here: it needs Linux (epoll, CPU affinity, /proc)")
	os.Exit(1)
}
