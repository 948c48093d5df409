package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
)

// fleet is the backend and the proxies while they run.
type fleet struct {
	dir     string
	files   uint64
	options options
	backend *child
	members []*member
}

// member is one proxy with its place.
type member struct {
	proxy
	places
	child *child // nil for direct and while it is stopped
}

// firstPort is below the ports that Linux gives to outgoing connections (32768 and up).
const firstPort = 21000

// freePorts finds ports of 127.0.0.1 on which nothing listens.
func freePorts(n int) ([]int, error) {
	var ports []int
	for port := firstPort; len(ports) < n && port < 32768; port++ {
		if listener, err := net.Listen("tcp", loopback(port).String()); err == nil {
			listener.Close()
			ports = append(ports, port)
		}
	}
	if len(ports) < n {
		return nil, fmt.Errorf("cannot find %d free ports on 127.0.0.1 between %d and 32768", n, firstPort)
	}
	return ports, nil
}

func loopback(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

// startFleet starts the backend and every proxy and waits until each answers.
func startFleet(ctx context.Context, proxies []proxy, o options, files uint64) (f *fleet, err error) {
	f = &fleet{files: files, options: o}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	if f.dir, err = os.MkdirTemp("", "proxybench-"); err != nil {
		return f, fmt.Errorf("cannot make a folder for configurations: %w", err)
	}
	// Each proxy has a backend port of its own, so that the connections that one leaves in TIME_WAIT take none from the next.
	ports, err := freePorts(3 * len(proxies))
	if err != nil {
		return f, err
	}
	args := []string{"backend"}
	for i, p := range proxies {
		at := places{
			Listen: loopback(ports[3*i]).String(), Admin: loopback(ports[3*i+1]).String(), Backend: loopback(ports[3*i+2]).String(),
			Dir: filepath.Join(f.dir, p.name), MaxConns: int(files-120) / 2, Files: files, Slots: files + files/8,
		}
		args = append(args, at.Backend)
		if p.name == nameDirect {
			at.Listen = at.Backend
		}
		f.members = append(f.members, &member{proxy: p, places: at})
	}
	self, err := os.Executable()
	if err != nil {
		return f, fmt.Errorf("cannot find this program: %w", err)
	}
	if f.backend, err = startChild("backend", o.backendPlace(), syscall.SIGKILL, nil, self, args...); err != nil {
		return f, err
	}
	if err := f.backend.awaitAnswer(ctx, args[1]); err != nil {
		return f, err
	}
	for _, m := range f.members {
		if err := f.start(ctx, m); err != nil {
			return f, err
		}
	}
	return f, nil
}

// start starts a proxy, or starts it anew, and waits until it answers.
func (f *fleet) start(ctx context.Context, m *member) error {
	m.child.stop()
	if m.args == nil {
		return nil
	}
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return fmt.Errorf("cannot make a folder for %s: %w", m.name, err)
	}
	var err error
	if m.Config, err = m.configure(m.places); err != nil {
		return err
	}
	// nginx's master has a worker to take down with it.
	parentDeath := syscall.SIGKILL
	if m.name == nameNginx {
		parentDeath = syscall.SIGTERM
	}
	if m.child, err = startChild(m.name, f.options.proxyPlace(), parentDeath, nil, m.program, m.args(m.places)...); err != nil {
		return err
	}
	return m.child.awaitAnswer(ctx, m.Listen)
}

func (f *fleet) stop() {
	for _, m := range f.members {
		m.child.stop()
	}
	f.backend.stop()
	if f.dir != "" {
		_ = os.RemoveAll(f.dir)
	}
}
