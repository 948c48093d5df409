package gateway

import (
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery"
	"github.com/penstock/penstock/discovery/dnstest"
)

// awaitSaid sends requests until one gets what is wanted; until then they must get before.
func (r *running) awaitSaid(before, want string) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		switch got := r.said("/"); got {
		case want:
			return
		case before:
		default:
			r.t.Fatalf("a request got %q, want %q, later %q", got, before, want)
		}
	}
	r.t.Fatalf("requests get %q still, want %q", before, want)
}

func TestPoolFollowsFile(t *testing.T) {
	a, b := answering(t, "a"), answering(t, "b")
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	r := start(t, "pools: {main: {file: \""+path+"\"}}\n")
	r.logs.await(t, "no such file or directory", 1)
	writeFile(t, path, []byte("endpoints: [\"http://"+a+"\"]"))
	r.expectSaid("that waited for the file", "200 a")
	writeFile(t, path, []byte("endpoints: [\""+a+"\"]"))
	r.logs.await(t, path+":1:13: endpoints[0]: \""+a+"\" has no scheme; write http://"+a, 1)
	r.expectSaid("while the file is wrong", "200 a")
	writeFile(t, path, []byte("endpoints: [\"http://"+b+"\"]"))
	r.awaitSaid("200 a", "200 b")
}

func TestPoolFollowsDNS(t *testing.T) {
	a, b := answering(t, "a"), answering(t, "b")
	const name = "_http._tcp.llama.test."
	server := dnstest.Start(t)
	server.SRV(name, atLocalhost(t, a))
	settings := config.DefaultDNS
	settings.Name, settings.Type, settings.Interval = name, "srv", config.Duration(time.Millisecond)
	source := discovery.NewDNS("main", &settings, discovery.NewResolver(server.Dial))

	r := start(t, pool("127.0.0.1:9"))
	if err := r.dispatcher.SetEndpoints("main", nil); err != nil {
		t.Fatal(err)
	}
	r.sources.set([]discovery.Source{source})
	r.expectSaid("that waited for the lookup", "200 a")
	server.SRV(name, atLocalhost(t, b))
	r.awaitSaid("200 a", "200 b")
	server.Fail(name, dnsmessage.TypeSRV, dnsmessage.RCodeServerFailure)
	r.logs.await(t, "server misbehaving", 1)
	r.expectSaid("while lookups fail", "200 b")
}

// TestPoolOfAddresses looks up a name that needs no server.
func TestPoolOfAddresses(t *testing.T) {
	_, port, _ := net.SplitHostPort(answering(t, "a"))
	r := start(t, "pools: {main: {dns: {name: localhost, port: "+port+"}}}\n")
	r.expectSaid("at localhost", "200 a")
}

func atLocalhost(t *testing.T, address string) net.SRV {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return net.SRV{Target: "localhost.", Port: uint16(n)}
}
