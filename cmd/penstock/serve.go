package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/penstock/penstock/gateway"
)

// serveCommand runs the gateway. Logs go to stderr and access-log lines to stdout.
func serveCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags, code, ok := parseServe(args, stderr)
	if !ok {
		return code
	}
	cfg, err := flags.load()
	if err != nil {
		return fail(stderr, "penstock serve", err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	g, err := gateway.New(cfg, gateway.Options{
		Configure:  flags.configure,
		Logger:     slog.New(slog.NewJSONHandler(stderr, nil)),
		Stdout:     stdout,
		ConfigPath: flags.file,
		Override:   flags.override,
		Signals:    signals,
	})
	if err != nil {
		return fail(stderr, "penstock serve", err)
	}
	if err := g.Run(ctx); err != nil {
		return fail(stderr, "penstock serve", err)
	}
	return exitOK
}

// fail writes an error, on a line for each of those that it is made of, and returns the exit code.
func fail(w io.Writer, who string, err error) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "%s: %s\n", who, strings.TrimSuffix(line, "\n"))
	}
	return exitFailure
}
