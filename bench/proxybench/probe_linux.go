package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// probe sends a request and checks its answer.
func probe(speaks protocol, addr string) error {
	if speaks == protocolGRPC {
		return probeGRPC(addr)
	}
	return probeHTTP(addr)
}

func probeHTTP(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Write(plan{Kind: kindJSON}.request()); err != nil {
		return err
	}
	var got []byte
	buffer := make([]byte, 4096)
	for !bytes.HasSuffix(got, jsonReplyBody) {
		n, err := conn.Read(buffer)
		if got = append(got, buffer[:n]...); err != nil {
			return fmt.Errorf("answered %q: %w", got, err)
		}
	}
	if !bytes.HasPrefix(got, statusOKStart) {
		return fmt.Errorf("answered %q", got)
	}
	return nil
}

// probeGRPC makes the load's own calls for a moment.
func probeGRPC(addr string) error {
	target, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("cannot parse the address %q: %w", addr, err)
	}
	r, err := generate(loadSpec{Shape: shapeClosed, Kind: kindUnary, Target: target, Conns: 1, Calls: 1, Window: time.Millisecond})
	if err != nil {
		return err
	}
	// A call is answered well even if its answer comes after the moment.
	if said := strings.Join(r.Errors, "; "); said != "" && said != errEmptyWindow.Error() {
		return errors.New(said)
	}
	return nil
}
