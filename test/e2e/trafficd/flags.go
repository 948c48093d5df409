package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/penstock/penstock/test/e2e/traffic"
)

// flags are those of the command line.
type flags struct {
	control string
	start   bool
	options traffic.Options
}

// parse reads the command line. If it ends the program, ok is false and code its exit code.
func parse(args []string, stderr io.Writer) (f *flags, code int, ok bool) {
	f = &flags{}
	d, o := traffic.DefaultOptions, &f.options
	o.Header, o.Rates = make(http.Header), make(map[traffic.Kind]float64)
	o.MinTokens, o.MaxTokens = d.MinTokens, d.MaxTokens
	s := flag.NewFlagSet("trafficd", flag.ContinueOnError)
	s.SetOutput(stderr)
	s.StringVar(&o.Target, "target", "", "The gateway is at `HOST:PORT`.")
	s.StringVar(&f.control, "control", ":9100", "The control's HTTP interface listens on `ADDRESS`.")
	s.BoolVar(&f.start, "start", false, "Sending begins at once, and not with POST /start.")
	s.StringVar(&o.Model, "model", d.Model, "The model `NAME` is asked for.")
	for kind, what := range map[traffic.Kind]string{
		traffic.Unary: "chat completions in one body", traffic.SSE: "chat completions as server-sent events",
		traffic.GRPC: "calls of ModelInfer", traffic.GRPCStream: "streams of ModelStreamInfer",
	} {
		s.Func(string(kind), "There are `RATE` "+what+" a second.", func(text string) (err error) {
			o.Rates[kind], err = strconv.ParseFloat(text, 64)
			return err
		})
	}
	s.Func("tokens", fmt.Sprintf("Answers have `MIN-MAX` tokens, or always as many where it is one number. (default %d-%d)", d.MinTokens, d.MaxTokens), func(text string) (err error) {
		o.MinTokens, o.MaxTokens, err = parseRange(text)
		return err
	})
	s.IntVar(&o.Clients, "clients", d.Clients, "There are `N` clients of HTTP/1.1 and as many connections of HTTP/2.")
	s.BoolVar(&o.NewConnections, "new-connections", false, "Each unary request takes a connection of its own.")
	s.IntVar(&o.Users, "users", 0, "The header x-user-id has the values user-0 to user-N-1 for `N` users, in turn; 0 sends none.")
	s.Func("header", "Every request has the header `NAME=VALUE`; may be given several times.", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("want NAME=VALUE, such as x-canary=yes")
		}
		o.Header.Add(name, value)
		return nil
	})
	s.IntVar(&o.MaxInFlight, "max-in-flight", d.MaxInFlight, "At most `N` requests are underway; what is due beyond is dropped, and makes the run invalid.")
	s.DurationVar(&o.Timeout, "timeout", d.Timeout, "A request may take `DURATION`.")
	s.DurationVar(&o.StopTimeout, "stop-timeout", d.StopTimeout, "A stop waits `DURATION` for the requests underway.")
	switch err := s.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, exitOK, false
	case err != nil:
		return nil, exitUsage, false
	case s.NArg() > 0:
		fmt.Fprintf(stderr, "trafficd: %q is not a flag\n", s.Arg(0))
		return nil, exitUsage, false
	}
	if err := f.check(); err != nil {
		fmt.Fprintf(stderr, "trafficd: %v\n", err)
		return nil, exitUsage, false
	}
	return f, exitOK, true
}

// check says what is wrong with the flags. Options take a zero for "not said", which it never is here.
func (f *flags) check() error {
	o := &f.options
	if o.MinTokens == 0 || o.Clients == 0 || o.MaxInFlight == 0 || o.Timeout == 0 || o.StopTimeout == 0 {
		return fmt.Errorf("cannot use a zero for --tokens, --clients, --max-in-flight, --timeout or --stop-timeout: they must be more")
	}
	return o.Validate()
}

// parseRange reads two numbers with a hyphen between them, or one that stands for both.
func parseRange(text string) (low, high int, err error) {
	first, second, ok := strings.Cut(text, "-")
	if !ok {
		second = first
	}
	low, err = strconv.Atoi(first)
	if err == nil {
		high, err = strconv.Atoi(second)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("want one number or MIN-MAX, such as 8-64")
	}
	return low, high, nil
}
