package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery/dnstest"
)

const llama = "llama.test."

// dnsSettings are those of a lookup that fails after 5 s.
func dnsSettings(kind string) *config.DNS {
	d := config.DefaultDNS
	d.Name, d.Type, d.Timeout = llama, kind, config.Duration(5*time.Second)
	if kind == "address" {
		d.Port = new(8000)
	}
	return &d
}

// lookup is what a single lookup finds, as text: URLs or the error.
func lookup(t testing.TB, d *config.DNS, server *dnstest.Server) string {
	t.Helper()
	found, err := NewDNS("p", d, NewResolver(server.Dial)).(*dns).look(t.Context())
	sink := newHeard(t)
	newTeller("p", sink).tell(tidy("p", found, err))
	return strings.TrimPrefix(sink.next(), "p")
}

func TestAddresses(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for what, c := range map[string]struct {
		tell func(*dnstest.Server)
		want string
	}{
		"IPv4": {func(s *dnstest.Server) { s.Addresses(llama, "10.0.0.2", "10.0.0.1", "10.0.0.2") }, " has [http://10.0.0.1:8000 http://10.0.0.2:8000]"},
		"IPv6": {func(s *dnstest.Server) { s.Addresses(llama, "fd00::1") }, " has [http://[fd00::1]:8000]"},
		"both": {func(s *dnstest.Server) { s.Addresses(llama, "fd00::1", "10.0.0.1") }, " has [http://10.0.0.1:8000 http://[fd00::1]:8000]"},
		"no name": {func(*dnstest.Server) {}, ": cannot look up the addresses (A and AAAA) of \"llama.test.\" for pool p: there are none at SERVER; " +
			"want a name that has some: correct dns.name, or add the records"},
		"no address": {func(s *dnstest.Server) { s.Addresses(llama) }, ": cannot look up the addresses (A and AAAA) of \"llama.test.\" for pool p: there are none at SERVER; " +
			"want a name that has some: correct dns.name, or add the records"},
		"failure": {func(s *dnstest.Server) {
			s.Fail(llama, dnsmessage.TypeA, dnsmessage.RCodeServerFailure)
			s.Fail(llama, dnsmessage.TypeAAAA, dnsmessage.RCodeServerFailure)
		}, ": cannot look up the addresses (A and AAAA) of \"llama.test.\" for pool p: server misbehaving at SERVER; want a DNS server that answers for the name"},
		"half a failure": {func(s *dnstest.Server) {
			s.Addresses(llama, "10.0.0.1")
			s.Fail(llama, dnsmessage.TypeAAAA, dnsmessage.RCodeServerFailure)
		}, ": cannot look up the addresses (A and AAAA) of \"llama.test.\" for pool p: server misbehaving at SERVER; want a DNS server that answers for the name"},
		"refusal": {func(s *dnstest.Server) {
			s.Fail(llama, dnsmessage.TypeA, dnsmessage.RCodeRefused)
			s.Fail(llama, dnsmessage.TypeAAAA, dnsmessage.RCodeRefused)
		}, ": cannot look up the addresses (A and AAAA) of \"llama.test.\" for pool p: server misbehaving at SERVER; want a DNS server that answers for the name"},
		"a filter": {func(s *dnstest.Server) { s.Addresses(llama, "10.0.0.1", "0.0.0.0") }, ": cannot look up the addresses (A and AAAA) of \"llama.test.\" for pool p: " +
			"0.0.0.0 is among them, which is no host's; want addresses of hosts alone"},
	} {
		t.Run(what, func(t *testing.T) {
			server := dnstest.Start(t)
			c.tell(server)
			if got := anonymous(lookup(t, dnsSettings("address"), server)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// anonymous replaces the address of the server of /etc/resolv.conf by a word. (The tests' resolver asks another one in its place.)
func anonymous(s string) string {
	before, rest, ok := strings.Cut(s, " at ")
	server, after, end := strings.Cut(rest, "; ")
	if _, err := netip.ParseAddrPort(server); !ok || !end || err != nil {
		return s
	}
	return before + " at SERVER; " + after
}

func TestSRV(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	failed := ": cannot look up the SRV records of \"llama.test.\" for pool p: "
	for what, c := range map[string]struct {
		records []net.SRV
		want    string
	}{
		"one": {[]net.SRV{{Target: "a.test.", Port: 1}}, " has [http://a.test:1]"},
		"weights do not count": {[]net.SRV{{Target: "B.test.", Port: 2, Weight: 0}, {Target: "a.test.", Port: 1, Weight: 100}, {Target: "b.test.", Port: 2, Weight: 9}},
			" has [http://a.test:1 http://b.test:2]"},
		"only the lowest priority": {[]net.SRV{{Target: "b.test.", Port: 2, Priority: 2}, {Target: "a.test.", Port: 1, Priority: 1}, {Target: "a.test.", Port: 3, Priority: 1}},
			" has [http://a.test:1 http://a.test:3]"},
		"priorities that nobody has a host for": {[]net.SRV{{Target: ".", Port: 2, Priority: 1}, {Target: "a.test.", Port: 1, Priority: 2}}, " has [http://a.test:1]"},
		"decidedly not available":               {[]net.SRV{{Target: ".", Port: 0}}, " has []"},
		"none":                                  {nil, failed + "there are none at SERVER; want a name that has some: correct dns.name, or add the records"},
		"no port": {[]net.SRV{{Target: "a.test.", Port: 1}, {Target: "b.test.", Port: 0}},
			failed + "host \"b.test.\" and port 0 are among them; want the name of a host, and a port from 1 to 65535"},
		"no name": {[]net.SRV{{Target: "a.test.", Port: 1}, {Target: "b b.test.", Port: 1}},
			failed + "DNS response contained records which contain invalid names; want a DNS server that answers for the name"},
	} {
		t.Run(what, func(t *testing.T) {
			server := dnstest.Start(t)
			server.SRV(llama, c.records...)
			if got := anonymous(lookup(t, dnsSettings("srv"), server)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestLongAnswersComeOverTCP checks that answers that UDP has no room for are not cut short.
func TestLongAnswersComeOverTCP(t *testing.T) {
	server := dnstest.Start(t)
	var addresses []string
	var records []net.SRV
	for i := range 1000 {
		addresses = append(addresses, fmt.Sprintf("10.0.%d.%d", i/250, i%250+1))
		records = append(records, net.SRV{Target: fmt.Sprintf("h%d.test.", i), Port: 1})
	}
	server.Addresses(llama, addresses...)
	server.SRV(llama, records...)
	for _, kind := range []string{"address", "srv"} {
		asked := server.Asked("tcp")
		if got := lookup(t, dnsSettings(kind), server); strings.Count(got, "http://") != 1000 {
			t.Errorf("%s: found %d endpoints, want 1000: %.200s", kind, strings.Count(got, "http://"), got)
		}
		if now := server.Asked("tcp"); now != asked+1 {
			t.Errorf("%s: %d questions came over TCP, want 1", kind, now-asked)
		}
	}
}

// TestNoAnswer checks that a lookup is given up in time, and that a family without an answer is not taken for one without addresses.
func TestNoAnswer(t *testing.T) {
	server := dnstest.Start(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	server.Addresses(llama, "10.0.0.1")
	server.Ignore(llama, dnsmessage.TypeAAAA)
	server.Ignore(llama, dnsmessage.TypeSRV)
	for kind, records := range map[string]string{"address": "addresses (A and AAAA)", "srv": "SRV records"} {
		d := dnsSettings(kind)
		d.Timeout = config.Duration(100 * time.Millisecond)
		got := lookup(t, d, server)
		start, end := ": cannot look up the "+records+" of \"llama.test.\" for pool p: no answer", ", waited at most 100ms; want a DNS server that answers, or more time as dns.timeout"
		if !strings.HasPrefix(got, start) || !strings.HasSuffix(got, end) {
			t.Errorf("got %s", got)
		}
	}
}

// TestStopDuringLookup checks that a stopped source leaves nothing behind and says nothing.
func TestStopDuringLookup(t *testing.T) {
	for kind, record := range map[string]dnsmessage.Type{"address": dnsmessage.TypeA, "srv": dnsmessage.TypeSRV} {
		t.Run(kind, func(t *testing.T) {
			server := dnstest.Start(t)
			server.Ignore(llama, record)
			before, sink := goleak.IgnoreCurrent(), newHeard(t)
			d := dnsSettings(kind)
			d.Timeout = config.Duration(time.Minute)
			stop := runSource(t, NewDNS("p", d, NewResolver(server.Dial)), sink)
			server.AwaitAsked("udp", 1)
			stop()
			goleak.VerifyNone(t, before)
			if len(sink.lines) > 0 {
				t.Errorf("the sink was told %s", sink.next())
			}
		})
	}
}

// TestNameThatIsNotComplete checks that names without a dot at the end are looked up as well. What is tried besides depends on the machine.
func TestNameThatIsNotComplete(t *testing.T) {
	server := dnstest.Start(t)
	server.Addresses(llama, "10.0.0.1")
	d := dnsSettings("address")
	d.Name = strings.TrimSuffix(llama, ".")
	if got := lookup(t, d, server); got != " has [http://10.0.0.1:8000]" {
		t.Errorf("got %s", got)
	}
}

func TestDNSFollowsChanges(t *testing.T) {
	server, sink := dnstest.Start(t), newHeard(t)
	d := dnsSettings("address")
	d.Interval = config.Duration(time.Millisecond)
	d.Scheme = "h2c"
	runSource(t, NewDNS("p", d, NewResolver(server.Dial)), sink)
	if got := sink.next(); !strings.Contains(got, "there are none") {
		t.Errorf("got %s", got)
	}
	server.Addresses(llama, "10.0.0.1")
	sink.want("p has [h2c://10.0.0.1:8000]", "p: <nil>")
	server.Fail(llama, dnsmessage.TypeA, dnsmessage.RCodeServerFailure)
	if got := sink.next(); !strings.Contains(got, "server misbehaving") {
		t.Errorf("got %s", got)
	}
	server.Addresses(llama, "10.0.0.1")
	sink.want("p: <nil>")
	server.Addresses(llama, "10.0.0.2")
	sink.want("p has [h2c://10.0.0.2:8000]")
}

// scripted is a resolver that finds what it is told to; nil never answers.
type scripted struct{ found chan any }

func (s scripted) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if network != "ip" || host != llama {
		return nil, fmt.Errorf("asked for %s of %s", network, host)
	}
	switch answer := (<-s.found).(type) {
	case []netip.Addr:
		return answer, nil
	case error:
		return nil, answer
	}
	<-ctx.Done()
	return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
}

func (s scripted) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, errors.New("asked for SRV records")
}

func TestDNSClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, mapped := []netip.Addr{netip.MustParseAddr("10.0.0.1")}, []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.1")}
		resolver, sink := scripted{make(chan any, 10)}, newHeard(t)
		start := "p: cannot look up the addresses (A and AAAA) of \"llama.test.\" for pool p: "
		resolver.found <- nil
		runSource(t, NewDNS("p", dnsSettings("address"), resolver), sink)
		time.Sleep(5*time.Second - time.Nanosecond)
		sink.wantOnly()
		time.Sleep(time.Nanosecond)
		sink.wantOnly(start + "no answer, waited at most 5s; want a DNS server that answers, or more time as dns.timeout")
		resolver.found <- a
		time.Sleep(firstInterval)
		sink.wantOnly("p has [http://10.0.0.1:8000]", "p: <nil>")
		resolver.found <- mapped
		resolver.found <- errors.New("network is unreachable")
		time.Sleep(20*time.Second - time.Nanosecond)
		sink.wantOnly()
		time.Sleep(time.Nanosecond)
		sink.wantOnly(start + "network is unreachable; want a DNS server that answers")
		resolver.found <- []netip.Addr{}
		time.Sleep(10 * time.Second)
		sink.wantOnly(start + "there are none; want a name that has some: correct dns.name, or add the records")
		resolver.found <- a
		time.Sleep(10 * time.Second)
		sink.wantOnly("p: <nil>")
		resolver.found <- errors.New("unused") // a lookup that is underway when the test ends
	})
}

func TestKeys(t *testing.T) {
	key := func(change func(*config.DNS)) string {
		d := dnsSettings("address")
		change(d)
		return NewDNS("p", d, nil).Key()
	}
	seen := make(map[string]int)
	for i, k := range []string{
		key(func(d *config.DNS) {}), key(func(d *config.DNS) { d.Name = "qwen.test." }), key(func(d *config.DNS) { d.Type, d.Port = "srv", nil }),
		key(func(d *config.DNS) { d.Port = new(1) }), key(func(d *config.DNS) { d.Scheme = "h2c" }), key(func(d *config.DNS) { d.Interval++ }),
		key(func(d *config.DNS) { d.Timeout++ }), NewFile("p", "a").Key(), NewFile("p", "b").Key(),
	} {
		if first, ok := seen[k]; ok {
			t.Errorf("sources %d and %d have the same key, %s", first, i, k)
		}
		seen[k] = i
	}
	if a, b := NewFile("p", "a"), NewFile("q", "a"); a.Key() != b.Key() || a.Pool() != "p" || b.Pool() != "q" {
		t.Errorf("got %q and %q for the same file", a.Key(), b.Key())
	}
}
