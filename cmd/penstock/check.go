package main

import (
	"context"
	"fmt"
	"io"

	"github.com/penstock/penstock/config"
)

// checkCommand validates a configuration file. Every error gets a line on stderr.
func checkCommand(_ context.Context, args []string, stdout, stderr io.Writer) int {
	f := newFlags("check", "Says what is wrong with a configuration file; exits with 0 if nothing is, and with 1 otherwise.", stderr)
	file := f.String("config", "", "The configuration in `FILE` is checked.")
	if code, ok := f.parse(args); !ok {
		return code
	}
	if *file == "" {
		return f.wrong("there is nothing to check: give --config FILE")
	}
	c, err := config.Load(*file)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	endpoints := 0
	for _, p := range c.Pools {
		endpoints += len(p.Endpoints)
	}
	fmt.Fprintf(stdout, "ok: %s has %s, %s and %s\n", *file,
		count(len(c.Pools), "pool"), count(endpoints, "endpoint"), count(len(c.Routes), "route"))
	return exitOK
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
