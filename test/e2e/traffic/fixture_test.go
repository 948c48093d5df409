package traffic

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/bench/mock"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come soon.
const patience = 20 * time.Second

// startMock runs a replica, a hundred times as fast as a GPU, until the test's end.
func startMock(t *testing.T, o mock.Options) *mock.Server {
	t.Helper()
	o.Speed = 100
	s, err := mock.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// gatewayUnderTest is a gateway on a port of the loopback.
type gatewayUnderTest struct {
	*gateway.Gateway
	t       *testing.T
	path    string
	signals chan os.Signal
}

const header = "listen: \"127.0.0.1:0\"\nadmin: \"127.0.0.1:0\"\ndebugHeaders: true\naccessLog: {enabled: false}\nshutdown: {lameDuck: 0s, drain: 5s}\n"

// startGateway runs a gateway until the test's end.
func startGateway(t *testing.T, yaml string) *gatewayUnderTest {
	t.Helper()
	g := &gatewayUnderTest{t: t, path: filepath.Join(t.TempDir(), "penstock.yaml"), signals: make(chan os.Signal)}
	g.write(yaml)
	c, err := config.Load(g.path)
	if err != nil {
		t.Fatal(err)
	}
	g.Gateway, err = gateway.New(c, gateway.Options{ConfigPath: g.path, Signals: g.signals, ConfigInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	return g
}

func (g *gatewayUnderTest) write(yaml string) {
	g.t.Helper()
	if err := os.WriteFile(g.path, []byte(header+yaml), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// reload makes the gateway use another configuration. A signal is taken only after what the one before it asked for is done.
func (g *gatewayUnderTest) reload(yaml string) {
	g.t.Helper()
	g.write(yaml)
	for range 2 {
		select {
		case g.signals <- syscall.SIGHUP:
		case <-time.After(patience):
			g.t.Fatal("the gateway takes no signal")
		}
	}
}

// driverUnderTest is a driver, and the ends of its requests.
type driverUnderTest struct {
	*Driver
	t    *testing.T
	ends chan *exchange
}

// newDriver makes a driver until the test's end. Rates that a test does not give are there for Validate.
func newDriver(t *testing.T, target string, o Options) *driverUnderTest {
	t.Helper()
	o.Target = target
	if o.Rates == nil {
		o.Rates = map[Kind]float64{Unary: 1}
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	u := &driverUnderTest{d, t, make(chan *exchange, 1<<16)}
	d.ended = func(e *exchange) { u.ends <- e }
	t.Cleanup(d.Close)
	return u
}

// one sends one request.
func (d *driverUnderTest) one(k Kind) *exchange {
	d.t.Helper()
	e := d.begin(k, time.Now())
	if e == nil {
		d.t.Fatal("too many requests are underway")
	}
	d.send(d.t.Context(), e)
	return <-d.ends
}

// await waits for the ends of so many requests of each kind.
func (d *driverUnderTest) await(each int, kinds ...Kind) {
	d.t.Helper()
	late := time.After(patience)
	seen := make(map[Kind]int)
	for _, k := range kinds {
		for seen[k] < each {
			select {
			case e := <-d.ends:
				seen[e.kind]++
			case <-late:
				d.t.Fatalf("only %v requests have ended", seen)
			}
		}
	}
}
