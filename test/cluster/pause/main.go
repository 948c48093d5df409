// Command pause is what a pod's sandbox runs in the test cluster: it holds the pod's network namespace until it is told to end. It collects
// no orphans, which come to it only in pods whose containers share their processes.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
}
