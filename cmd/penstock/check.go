package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

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
	endpoints := 0
	if err == nil {
		endpoints, err = countEndpoints(c, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	fmt.Fprintf(stdout, "ok: %s has %s, %s and %s\n", *file,
		count(len(c.Pools), "pool"), count(endpoints, "endpoint"), count(len(c.Routes), "route"))
	return exitOK
}

// countEndpoints counts the endpoints that are listed, in the configuration and in the files that it names, whose errors it returns. A file that
// is not there is only a note: a gateway waits for it.
func countEndpoints(c *config.Config, notes io.Writer) (n int, err error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		p := c.Pools[name]
		n += len(p.Endpoints)
		if p.File == "" {
			continue
		}
		data, err := config.ReadEndpointFile(p.File)
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(notes, "note: pool %s has no endpoints as long as there is no file %s\n", name, p.File)
			continue
		}
		var listed []config.Endpoint
		if err == nil {
			listed, err = config.ParseEndpointFile(p.File, data)
		}
		n += len(listed)
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
