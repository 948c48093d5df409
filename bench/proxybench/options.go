package main

import (
	"flag"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// options is the harness's command line.
type options struct {
	rounds    int
	quick     bool
	window    time.Duration
	only      []string
	proxies   []string
	penstock  string
	out       string
	perf      bool
	streams   int
	proxyCore int
	loadCores []int
	nice      int
}

// place is where and how urgently a process runs.
type place struct {
	cores []int
	nice  int // -20, most urgent, to 19; below 0 needs privileges
	// yields says that the process takes no core away from another when it wakes up.
	yields bool
}

func (o options) proxyPlace() place   { return place{cores: []int{o.proxyCore}, nice: o.nice} }
func (o options) backendPlace() place { return place{cores: o.loadCores[:1], nice: o.nice} }
func (o options) loadPlace() place {
	return place{cores: o.loadCores[len(o.loadCores)-1:], nice: o.nice}
}

func parseOptions(args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("proxybench", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.IntVar(&o.rounds, "rounds", 0, "How often every proxy is measured, in turn; 0 is 7, or 3 with -quick.")
	flags.BoolVar(&o.quick, "quick", false, "Measures for shorter times, to see the effect of a change at hand.")
	flags.DurationVar(&o.window, "window", 0, "Length of each measured window, to see only that everything runs; 0 is each measurement's own.")
	only := flags.String("only", "", "Measurements to make, separated by commas: json64, json4, paced, burst, latency, memory, limit, grpc_unary64, grpc_steps, grpc_stream, grpc_64k, grpc_latency; empty is all.")
	proxies := flags.String("proxies", "", "Proxies to measure, separated by commas: direct, null, reverseproxy, grpcrelay, haproxy, nginx, penstock; empty is all, penstock only with -penstock.")
	flags.StringVar(&o.penstock, "penstock", "", "Path of the penstock binary.")
	flags.StringVar(&o.out, "out", "bin/bench-proxy", "Folder for results: proxybench.json, proxybench.md and profiles.")
	flags.BoolVar(&o.perf, "perf", false, "Also profiles each proxy once per measurement with perf, after the last round.")
	flags.IntVar(&o.streams, "streams", 10000, "How many streams the memory measurement opens, where the limit of open files allows.")
	flags.IntVar(&o.proxyCore, "proxy-core", runtime.NumCPU()-1, "CPU core that each proxy is pinned to.")
	flags.IntVar(&o.nice, "nice", 0, "Nice value of the proxies, the backend and the generator, -20 to 19; below 0 (needs root) keeps a busy machine from disturbing them.")
	loadCores := flags.String("load-cores", "0", "CPU cores of the backend and the generator, separated by commas; the backend has the first and the generator the last.")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("cannot understand %q: arguments other than flags are backend, load, null, reverseproxy and grpcrelay", flags.Arg(0))
	}
	o.only, o.proxies = list(*only), list(*proxies)
	for _, core := range list(*loadCores) {
		n, err := strconv.Atoi(core)
		if err != nil {
			return o, fmt.Errorf("cannot parse -load-cores: %q is not the number of a CPU core", core)
		}
		o.loadCores = append(o.loadCores, n)
	}
	if o.rounds == 0 {
		o.rounds = 7
		if o.quick {
			o.rounds = 3
		}
	}
	return o, o.validate()
}

func (o options) validate() error {
	if o.rounds < 0 || o.rounds > 1000 {
		return fmt.Errorf("-rounds is %d; it must be 1 to 1000", o.rounds)
	}
	if o.window < 0 || o.window > time.Minute {
		return fmt.Errorf("-window is %v; it must be 0 to 1m", o.window)
	}
	if o.streams < 1 {
		return fmt.Errorf("-streams is %d; it must be at least 1", o.streams)
	}
	if o.nice < -20 || o.nice > 19 {
		return fmt.Errorf("-nice is %d; it must be -20 to 19", o.nice)
	}
	if len(o.loadCores) == 0 {
		return fmt.Errorf("-load-cores names no core")
	}
	for _, core := range o.loadCores {
		if core == o.proxyCore {
			return fmt.Errorf("-load-cores and -proxy-core both name core %d; the proxy needs one of its own", core)
		}
	}
	return nil
}

// list splits at commas; empty is none.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
