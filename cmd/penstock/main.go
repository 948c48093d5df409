// Command penstock is an inference gateway, and the tools around it: a demo, mock model servers, load tests, a
// simulator and a check of configurations.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/penstock/penstock/gateway"
)

// Exit codes. exitUsage is for a command line that makes no sense, exitFailure for everything else that went wrong.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// subcommand is one of the things that penstock does. run returns the exit code.
type subcommand struct {
	name, summary string
	run           func(ctx context.Context, args []string, stdout, stderr io.Writer) int
}

var subcommands = []subcommand{
	{"serve", "Run the gateway.", serveCommand},
	{"demo", "Run a gateway, mock model servers and gentle traffic in one process, to look around.", demoCommand},
	{"mock", "Run mock model servers that take as long as GPUs do.", mockCommand},
	{"bench", "Send load to model servers or gateways, and report latencies and goodput.", benchCommand},
	{"simulate", "Compare policies and plan replicas on a virtual clock, without hardware.", simulateCommand},
	{"top", "Watch a gateway in the terminal.", topCommand},
	{"check", "Say what is wrong with a configuration file.", checkCommand},
	{"version", "Print which build this is.", versionCommand},
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run does what args say and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(stdout)
		return exitOK
	}
	for _, c := range subcommands {
		if c.name == args[0] {
			return c.run(ctx, args[1:], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "penstock: there is no subcommand %q\n\n", args[0])
	usage(stderr)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Penstock is an inference gateway: it stands in front of model servers and picks the best one for every request.\n\n"+
		"Usage: penstock SUBCOMMAND [FLAGS]\n\n")
	for _, c := range subcommands {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\npenstock SUBCOMMAND --help lists the flags of a subcommand.\n")
}

// untilInterrupted returns a context that ends at the first SIGINT or SIGTERM; a second one then ends the process as usual.
func untilInterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func versionCommand(_ context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("version", "Prints which build this is.", stderr)
	if code, ok := flags.parse(args); !ok {
		return code
	}
	version, commit := gateway.Version()
	fmt.Fprintf(stdout, "penstock %s\n", version)
	if commit != "" {
		fmt.Fprintf(stdout, "commit %s\n", commit)
	}
	fmt.Fprintf(stdout, "%s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}
