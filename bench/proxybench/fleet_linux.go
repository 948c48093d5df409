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
	// backends are by the protocol that they speak.
	backends map[protocol]*child
	members  []*member
}

// member is one proxy with its place, as it speaks one protocol.
type member struct {
	proxy
	places
	protocol protocol
	child    *child // nil for direct and while it is stopped
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

// startFleet starts, for each protocol, a backend and every proxy that speaks it, and waits until each answers.
func startFleet(ctx context.Context, proxies []proxy, protocols []protocol, o options, files uint64) (f *fleet, err error) {
	f = &fleet{files: files, options: o, backends: map[protocol]*child{}}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	if f.dir, err = os.MkdirTemp("", "proxybench-"); err != nil {
		return f, fmt.Errorf("cannot make a folder for configurations: %w", err)
	}
	for _, speaks := range protocols {
		for _, p := range proxies {
			if p.speaks(speaks) {
				f.members = append(f.members, &member{proxy: p, protocol: speaks})
			}
		}
	}
	if err := f.place(); err != nil {
		return f, err
	}
	for _, speaks := range protocols {
		if err := f.startBackend(ctx, speaks); err != nil {
			return f, err
		}
	}
	for _, m := range f.members {
		if err := f.start(ctx, m); err != nil {
			return f, err
		}
	}
	return f, nil
}

// place gives every member its addresses and limits.
func (f *fleet) place() error {
	// Each proxy has a backend port of its own, so that the connections that one leaves in TIME_WAIT take none from the next.
	ports, err := freePorts(3 * len(f.members))
	if err != nil {
		return err
	}
	for i, m := range f.members {
		m.places = places{
			Listen: loopback(ports[3*i]).String(), Admin: loopback(ports[3*i+1]).String(), Backend: loopback(ports[3*i+2]).String(),
			Dir: filepath.Join(f.dir, m.name+"-"+string(m.protocol)), MaxConns: int(f.files-120) / 2, Files: f.files, Slots: f.files + f.files/8,
		}
		if m.args == nil {
			m.Listen = m.Backend
		}
	}
	return nil
}

// startBackend starts the backend that speaks a protocol, behind all proxies that do.
func (f *fleet) startBackend(ctx context.Context, speaks protocol) error {
	args := []string{"backend", string(speaks)}
	address := ""
	for _, m := range f.members {
		if m.protocol == speaks {
			address = m.Backend
			args = append(args, address)
		}
	}
	if address == "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program: %w", err)
	}
	b, err := startChild("backend", f.options.backendPlace(), syscall.SIGKILL, nil, self, args...)
	if err != nil {
		return err
	}
	f.backends[speaks] = b
	return b.awaitAnswer(ctx, speaks, address)
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
	if m.Config, err = m.configure(m.protocol, m.places); err != nil {
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
	return m.child.awaitAnswer(ctx, m.protocol, m.Listen)
}

func (f *fleet) stop() {
	for _, m := range f.members {
		m.child.stop()
	}
	for _, b := range f.backends {
		b.stop()
	}
	if f.dir != "" {
		_ = os.RemoveAll(f.dir)
	}
}
