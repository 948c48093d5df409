// Proxybench measures what HTTP and gRPC proxies cost: CPU time per JSON request, per gRPC call and per streamed chunk or message,
// added latency, and memory per open stream. It runs HAProxy, nginx, Penstock and reference proxies side by side, each on one CPU
// core, in rounds that take turns, with one backend and one load generator on another core. See README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "proxybench:", err)
		os.Exit(1)
	}
}

// run is the harness, or one of the processes that it starts from its own binary.
func run(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "backend":
			return runBackend(args[1:])
		case "load":
			return runLoad(args[1:])
		case nameNull, nameReverseProxy, nameGRPCRelay:
			return runReference(args[0], args[1:])
		}
	}
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	return compare(ctx, o, args)
}

// runBackend serves a protocol on the addresses given.
func runBackend(args []string) error {
	if len(args) == 0 {
		return errors.New("backend takes a protocol and addresses as arguments")
	}
	var addrs []netip.AddrPort
	for _, arg := range args[1:] {
		addr, err := netip.ParseAddrPort(arg)
		if err != nil {
			return fmt.Errorf("cannot parse the backend's address %q: %w", arg, err)
		}
		addrs = append(addrs, addr)
	}
	b, err := newBackend(protocol(args[0]), addrs)
	if err != nil {
		return err
	}
	return b.serve()
}

// runLoad takes a loadSpec as JSON and prints the loadResult as JSON.
func runLoad(args []string) error {
	if len(args) != 1 {
		return errors.New("load takes one argument, the specification as JSON")
	}
	var spec loadSpec
	if err := json.Unmarshal([]byte(args[0]), &spec); err != nil {
		return fmt.Errorf("cannot parse the load's specification: %w", err)
	}
	result, err := generate(spec)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// runReference serves one of the reference proxies.
func runReference(name string, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s takes two arguments, the addresses to listen on and to send to", name)
	}
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	switch name {
	case nameNull:
		return relayTCP(listener, args[1])
	case nameGRPCRelay:
		return relayGRPC(listener, args[1])
	}
	return reverseProxy(listener, args[1])
}
