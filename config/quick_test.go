package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestQuick(t *testing.T) {
	c, err := Quick(":9000", "", []string{"http://10.0.0.1:8000", "http://10.0.0.2:8000"}, nil, "random", "vllm", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := parse(t, `
listen: ":9000"
pools: {default: {endpoints: ["http://10.0.0.1:8000", "http://10.0.0.2:8000"], balance: random, engine: vllm}}`)
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if p := c.Pools["default"]; p.Probe != nil || p.Eject != DefaultEject {
		t.Errorf("want no probing and default ejection, got %+v", p)
	}
	checkRoundTrip(t, c)
}

func TestQuickService(t *testing.T) {
	s, err := ParseService("models/llama-8b:http")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Quick("", "", nil, s, "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := parse(t, "pools: {default: {service: {namespace: models, name: llama-8b, port: http}}}")
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

// TestQuickErrors checks that errors speak of flags, which have no file and no fields.
func TestQuickErrors(t *testing.T) {
	ok := []string{"http://a:1"}
	for _, c := range []struct {
		listen, admin   string
		backends        []string
		service         *Service
		balance, engine string
		want            string
	}{
		{want: "--backend: there is no backend; want --backend URL (repeatable), --service NAMESPACE/NAME or --config FILE"},
		{backends: ok, service: &Service{}, want: "--service: stands beside --backend; want one of them; --config FILE takes several pools"},
		{backends: []string{"http://a:1", "a:2", "http://a:1"},
			want: "--backend: \"a:2\" has no scheme; write http://a:2\n" +
				"--backend: \"http://a:1\" repeats \"http://a:1\"; list each host:port once"},
		{backends: ok, balance: "session",
			want: "--balance: is session, and no flag says what a session is; want another policy, or --config FILE with session: {header: NAME}"},
		{backends: ok, balance: "automatic",
			want: `--balance: "automatic" is not known; want one of auto, least-outstanding, power-of-two, round-robin, random, peak-ewma, session, least-tokens, prefix`},
		{backends: ok, engine: "vlm",
			want: `--engine: "vlm" is not known; did you mean vllm? want one of vllm, sglang, triton, tensorrt-llm, tgi, dcgm, none`},
		{backends: ok, listen: "8000", want: `--listen: "8000" is not an address; write ":8000"`},
		{backends: ok, listen: ":8001",
			want: `--admin: ":8001" takes the same port as listen, ":8001"; want a port of its own, such as :8002`},
		{service: &Service{Scheme: "http", Name: "x"}, want: "--service: is missing; want the Service's namespace"},
	} {
		got, err := Quick(c.listen, c.admin, c.backends, c.service, c.balance, c.engine, nil)
		if got != nil || errorText(err) != c.want {
			t.Errorf("got %v and\n%v\nwant\n%s", got, err, c.want)
		}
	}
}

// TestQuickSettings has settings from a Service's annotation beside the flags: the flags win, and what is wrong with the others is not said of flags.
func TestQuickSettings(t *testing.T) {
	for _, c := range []struct{ balance, settings, want string }{
		{"", "balance: session\nsession: {header: x-user}", ""},
		{"session", "session: {header: x-user}", ""},
		{"auto", "balance: session\nsession: {header: x-user}", ""},
		{"session", "maxInFlight: 7", "--balance: is session, and no flag says what a session is; want another policy, or --config FILE with session: {header: NAME}"},
		{"random", "balance: session\nsession: {header: x-user}",
			"pools.default.session: has no meaning for balance: random; leave it out, or want balance: session or auto"},
		{"automatic", "session: {header: x-user}",
			`--balance: "automatic" is not known; want one of auto, least-outstanding, power-of-two, round-robin, random, peak-ewma, session, least-tokens, prefix`},
	} {
		settings, err := ParseSettings("annotation", []byte(c.settings))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Quick("", "", []string{"http://a:1"}, nil, c.balance, "", settings)
		if errorText(err) != c.want || (got == nil) != (c.want != "") {
			t.Errorf("--balance %s beside %q: got %v and\n%v\nwant\n%s", c.balance, c.settings, got, err, c.want)
		}
		if c.want != "" && len(PoolsOf(err, []string{"default"})) != strings.Count(c.want, "pools.default") {
			t.Errorf("%q is not found to be of the settings alone", c.want)
		}
	}
}

func TestParseService(t *testing.T) {
	for s, want := range map[string]Service{
		"models/llama-8b":      {Namespace: "models", Name: "llama-8b", Scheme: "auto"},
		"models/llama-8b:http": {Namespace: "models", Name: "llama-8b", Port: "http", Scheme: "auto"},
		"models/llama-8b:8000": {Namespace: "models", Name: "llama-8b", Port: "8000", Scheme: "auto"},
	} {
		if got, err := ParseService(s); err != nil || *got != want {
			t.Errorf("%s: got %+v and %v, want %+v", s, got, err, want)
		}
	}
	const suffix = "; want NAMESPACE/NAME or NAMESPACE/NAME:PORT, such as models/llama-8b:http"
	for s, want := range map[string]string{
		"llama":            `cannot read service: "llama" has no namespace` + suffix,
		"":                 `cannot read service: "" has no namespace` + suffix,
		"/llama":           `cannot read service: "/llama" has the namespace "", which is no name in Kubernetes` + suffix,
		"a/b/c":            `cannot read service: "a/b/c" has the name "b/c", which is no name in Kubernetes` + suffix,
		"models/":          `cannot read service: "models/" has the name "", which is no name in Kubernetes` + suffix,
		"models/x:":        `cannot read service: "models/x:" has the port "", which is neither a name nor a number from 1 to 65535` + suffix,
		"models/x:70000":   `cannot read service: "models/x:70000" has the port "70000", which is neither a name nor a number from 1 to 65535` + suffix,
		"models/x:80:http": `cannot read service: "models/x:80:http" has the port "80:http", which is neither a name nor a number from 1 to 65535` + suffix,
	} {
		if got, err := ParseService(s); got != nil || errorText(err) != want {
			t.Errorf("%s: got %v and\n%v\nwant\n%s", s, got, err, want)
		}
	}
}

func TestParseProbe(t *testing.T) {
	with := func(change func(p *Probe)) Probe {
		p := DefaultProbe
		change(&p)
		return p
	}
	for s, want := range map[string]Probe{
		"/v2/health/ready?full=1": with(func(p *Probe) { p.Path = "/v2/health/ready?full=1" }),
		"health":                  with(func(p *Probe) { p.Path = "health" }), // validation tells
		"grpcs":                   with(func(p *Probe) { p.Path = "grpcs" }),
		"grpc":                    with(func(p *Probe) { p.Path, p.GRPC = "", &GRPCProbe{} }),
		"grpc:inference.Service":  with(func(p *Probe) { p.Path, p.GRPC = "", &GRPCProbe{Service: "inference.Service"} }),
		"grpc:a:b":                with(func(p *Probe) { p.Path, p.GRPC = "", &GRPCProbe{Service: "a:b"} }),
	} {
		if got, err := ParseProbe(s); err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: got %+v and %v, want %+v", s, got, err, want)
		}
	}
	if got, err := ParseProbe("grpc:"); got != nil || errorText(err) !=
		`cannot read probe: "grpc:" names no service; want grpc, which asks for the whole server, or grpc:SERVICE` {
		t.Errorf("got %v and %v", got, err)
	}
}

func TestParseEndpoint(t *testing.T) {
	for s, want := range map[string]Endpoint{
		"http://10.0.0.1:8000":      {"http", "10.0.0.1", "8000"},
		"https://Llama.Models:8443": {"https", "llama.models", "8443"},
		"h2c://[0:0::1]:1":          {"h2c", "::1", "1"},
	} {
		got, err := ParseEndpoint(s)
		if err != nil || got != want {
			t.Errorf("%s: got %+v and %v, want %+v", s, got, err, want)
		}
		if again, err := ParseEndpoint(got.String()); err != nil || again != got {
			t.Errorf("%s: reads back as %+v, %v", got, again, err)
		}
	}
	if a := (Endpoint{"h2c", "::1", "1"}).Address(); a != "[::1]:1" {
		t.Errorf("got %s", a)
	}
	if _, err := ParseEndpoint("10.0.0.1:8000"); errorText(err) !=
		`cannot read endpoint: "10.0.0.1:8000" has no scheme; write http://10.0.0.1:8000` {
		t.Errorf("got %v", err)
	}
}
