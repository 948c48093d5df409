// Command trafficd is the load of the end-to-end suite as a program: package traffic behind an HTTP interface, for a pod in the cluster. It
// needs no files, and writes its report to the standard output when it is told to end.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/penstock/penstock/test/e2e/traffic"
)

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process as usual
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the driver until ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f, code, ok := parse(args, stderr)
	if !ok {
		return code
	}
	d, err := traffic.New(f.options)
	if err != nil {
		return fail(stderr, err)
	}
	defer d.Close()
	l, err := net.Listen("tcp", f.control)
	if err != nil {
		return fail(stderr, fmt.Errorf("cannot open the control port: %w", err))
	}
	server := &http.Server{Handler: traffic.Control(d), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	fmt.Fprintf(stderr, "control at http://%s\n", l.Addr())
	if f.start {
		err = d.Start()
	}
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-served:
			served <- err
		}
	}
	d.Stop(context.WithoutCancel(ctx))
	server.Close()
	if serveErr := <-served; err == nil && !errors.Is(serveErr, http.ErrServerClosed) {
		err = serveErr
	}
	if encodeErr := json.NewEncoder(stdout).Encode(d.Report()); err == nil {
		err = encodeErr
	}
	if err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

func fail(w io.Writer, err error) int {
	fmt.Fprintf(w, "trafficd: %v\n", err)
	return exitFailure
}
