package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const minimal = `pools: {llama: {endpoints: ["http://10.1.2.3:8000"]}}`

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDefaults spells the defaults out, so that none changes by accident.
func TestDefaults(t *testing.T) {
	c := parse(t, `pools: {llama: {endpoints: ["http://10.1.2.3:8000"], probe: {}}}`)
	s, m, h := time.Second, time.Minute, 1<<10
	want := &Config{
		Listen: ":8000", Admin: ":8001", AdminSecurity: AdminSecurity{Pprof: true}, ClientHalfClose: "abort",
		AccessLog: AccessLog{Enabled: true, Sample: 1},
		Limits: Limits{HeaderBytes: 64 * h, HeaderCount: 128, RequestTargetBytes: 16 * h, BodyBytes: 256 << 20,
			HeldBodyBytes: 16 << 20, Connections: 65536, Streams: 256},
		Timeouts: Timeouts{RequestHead: Duration(10 * s), RequestBody: Duration(60 * s), KeepAlive: Duration(120 * s),
			Connect: Duration(5 * s), ResponseHeader: Duration(10 * m), StreamIdle: Duration(5 * m), Write: Duration(60 * s),
			Ping: Duration(5*m + 5*s)},
		Shutdown: Shutdown{LameDuck: Duration(5 * s), Drain: Duration(10 * m)},
		Pools: map[string]*Pool{"llama": {
			Endpoints: []string{"http://10.1.2.3:8000"},
			Engine:    "none", Balance: "auto", Objectives: Objectives{TTFT: Duration(5 * s), TPOT: Duration(60 * time.Millisecond)},
			Queue:     Queue{Size: 512, Timeout: Duration(30 * s)},
			Probe:     &Probe{Path: "/health", Interval: Duration(5 * s), Timeout: Duration(2 * s), HealthyAfter: 1, UnhealthyAfter: 2},
			Eject:     Eject{ConsecutiveFailures: 3, BaseTime: Duration(5 * s), MaxTime: Duration(60 * s), MaxPercent: 50},
			SlowStart: Duration(30 * s), Retry: Retry{Attempts: 2, BudgetPercent: 20},
			IdleConnections: 1024, IdleTimeout: Duration(4 * s),
		}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if p := parse(t, minimal).Pools["llama"].Probe; p != nil {
		t.Errorf("probing is on without a probe section: %+v", p)
	}
}

func TestDNSDefaults(t *testing.T) {
	c := parse(t, `pools: {a: {dns: {name: llama.example.com, port: 8000}}}`)
	want := DNS{Name: "llama.example.com", Type: "address", Port: new(8000), Scheme: "http", Interval: Duration(10 * time.Second), Timeout: Duration(10 * time.Second)}
	if got := c.Pools["a"].DNS; !reflect.DeepEqual(got, &want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestGRPCProbeHasNoPath checks that a path is the default of probes over HTTP only.
func TestGRPCProbeHasNoPath(t *testing.T) {
	for text, want := range map[string]*GRPCProbe{
		"{grpc: {}}":                                  {},
		"{interval: 5s, grpc: {service: llama}}":      {Service: "llama"},
		"{<<: {grpc: {service: qwen}}, interval: 5s}": {Service: "qwen"},
	} {
		c := parse(t, `pools: {a: {endpoints: ["h2c://a:1"], probe: `+text+`}}`)
		p := DefaultProbe
		p.Path, p.GRPC = "", want
		if got := c.Pools["a"].Probe; !reflect.DeepEqual(got, &p) {
			t.Errorf("%s: got %+v, want %+v", text, got, p)
		}
		checkRoundTrip(t, c)
	}
}

// TestDefaultsAreNotShared checks that configurations cannot change each other or the defaults.
func TestDefaultsAreNotShared(t *testing.T) {
	text := `pools: {a: {endpoints: ["http://a:1"], probe: {}}, b: {endpoints: ["http://a:1"], probe: {}}}
routes: [{split: [{pool: a}, {pool: b}]}]`
	c := parse(t, text)
	c.Pools["a"].Probe.Path, c.Pools["a"].Queue.Size, c.Limits.HeaderCount = "/changed", 7, 7
	if c.Pools["b"].Probe.Path != "/health" || c.Pools["b"].Queue.Size != 512 {
		t.Error("two pools share their settings")
	}
	if again := parse(t, text); again.Pools["a"].Probe.Path != "/health" || again.Limits.HeaderCount != 128 {
		t.Error("a configuration changed the defaults")
	}
}

func TestMerge(t *testing.T) {
	c, err := Load("testdata/merge.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, b, third := c.Pools["a"], c.Pools["b"], c.Pools["c"]
	if b.Engine != "vllm" || b.MaxInFlight != 64 || b.Probe.Interval != 10*second || b.Endpoints[0] != "http://10.0.0.2:8000" {
		t.Errorf("b did not take what it merges, or not its own endpoints: %+v", b)
	}
	if third.MaxInFlight != 64 || third.IdleTimeout != 3*second || third.Queue.Size != 512 {
		t.Errorf("earlier merges go first, later ones add, the rest is default: %+v", third)
	}
	if a.Probe == b.Probe {
		t.Error("two pools share one probe object")
	}
}

func TestLoadErrors(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "cannot read configuration") {
		t.Errorf("got %v", err)
	}
}

// TestBounds checks that absurd files are refused, with one error that says so.
func TestBounds(t *testing.T) {
	list := func(n int, entry string) string { return strings.TrimSuffix(strings.Repeat(entry+", ", n), ", ") }
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString("\n  p" + strings.Repeat("x", i%7) + "-" + Duration(i).String() + ": {}")
		}
		return b.String()
	}
	for name, c := range map[string]struct{ text, want string }{
		"file":    {minimal + strings.Repeat("\n", maxFileBytes), "test.yaml: is larger than 4MiB; split the work over several gateways"},
		"list":    {minimal + "\ntrustedProxies: [" + list(10001, "a") + "]", "test.yaml:2:17: trustedProxies: has 10001 items; want at most 10000"},
		"mapping": {"pools:" + keys(10001), "test.yaml:2:3: pools: has 10001 keys; want at most 10000"},
		"errors":  {minimal + "\ntrustedProxies: [" + list(10000, "x") + "]", "test.yaml:2:3018: has more than 1000 errors; correct those that are listed first"},
		"nesting": {strings.Repeat("[", 1<<20), "test.yaml:1:10001: is not YAML: exceeded max depth of 10000; want YAML 1.2"},
	} {
		_, err := Parse("test.yaml", []byte(c.text))
		text := errorText(err)
		if got := text[strings.LastIndexByte(text, '\n')+1:]; got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
		var errs Errors
		if errors.As(err, &errs) && len(errs) > maxErrors+1 {
			t.Errorf("%s: %d errors", name, len(errs))
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestValidateCode checks configurations that no file can hold.
func TestValidateCode(t *testing.T) {
	pool := DefaultPool
	pool.Endpoints = []string{"http://a:1"}
	valid := func() *Config {
		c := DefaultConfig
		c.Pools = map[string]*Pool{"a": &pool}
		return &c
	}
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		`pools.b: is nil; want a pool`:                                                            func(c *Config) { c.Pools["b"] = nil; c.Routes = []Route{{Split: []Target{{Pool: "a"}}}} },
		`listen: "\xff:80" is not valid UTF-8; want UTF-8`:                                        func(c *Config) { c.Listen = "\xff:80" },
		`listen: "" is not an address; want host:port, or :port for every address, such as :8000`: func(c *Config) { c.Listen = "" },
		`clientHalfClose: "" is not known; want one of abort, allow`:                              func(c *Config) { c.ClientHalfClose = "" },
		"pools: there are no pools; want at least one: pools: {NAME: {endpoints: [URL]}}":         func(c *Config) { c.Pools = nil },
	} {
		c := valid()
		change(c)
		if got := errorText(c.Validate()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
