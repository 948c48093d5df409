package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{"--quick", "--only", "json64,paced", "--proxies=haproxy,penstock", "--proxy-core", "1", "--load-cores", "0,2"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 3 || !slices.Equal(o.only, []string{"json64", "paced"}) || !slices.Equal(o.proxies, []string{"haproxy", "penstock"}) {
		t.Errorf("got %+v", o)
	}
	if got := o.backendPlace().cores; !slices.Equal(got, []int{0}) {
		t.Errorf("the backend is on cores %v, want the first load core", got)
	}
	if got := o.loadPlace().cores; !slices.Equal(got, []int{2}) {
		t.Errorf("the generator is on cores %v, want the last load core", got)
	}
}

func TestParseOptionsRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--rounds -1":                      "-rounds is -1",
		"--streams 0":                      "-streams is 0",
		"--window -1s":                     "-window is -1s",
		"--proxy-core 0":                   "both name core 0",
		"--proxy-core 1 --load-cores ,":    "names no core",
		"--proxy-core 1 --load-cores zero": "not the number of a CPU core",
		"run":                              `cannot understand "run"`,
		"--nice 20 --proxy-core 1":         "-nice is 20",
	} {
		if _, err := parseOptions(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseOptions(%q) = %v, want an error with %q", args, err, want)
		}
	}
}

func TestChooseProxies(t *testing.T) {
	own := []proxy{{name: nameDirect}, {name: namePenstock, args: func(places) []string { return nil }, install: "build it"}}
	for _, c := range []struct {
		names    string
		penstock string
		want     string
		err      string
	}{
		{"", "", "direct", ""},
		{"direct", "", "direct", ""},
		{"penstock", "", "", "cannot find the program of penstock; build it"},
		{"squid", "", "", `there is no proxy "squid"; choose from direct, penstock`},
	} {
		got, err := choose(own, list(c.names), c.penstock)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("choose(%q) = %v, want an error with %q", c.names, err, c.err)
			}
			continue
		}
		if err != nil || strings.Join(proxyNames(got), ",") != c.want {
			t.Errorf("choose(%q) = %v, %v, want %s", c.names, proxyNames(got), err, c.want)
		}
	}
}

func TestMissingProxySaysHowToInstallIt(t *testing.T) {
	p := proxy{name: nameHAProxy, program: "no-such-proxy", args: func(places) []string { return nil },
		install: "sudo apt-get install haproxy"}
	if err := p.find(); err == nil || !strings.Contains(err.Error(), "sudo apt-get install haproxy") {
		t.Errorf("find = %v, want how to install it", err)
	}
}

func TestPickScenarios(t *testing.T) {
	all := scenarios(true, 100)
	got, err := pick(all, []string{"burst", "json64"})
	if err != nil || len(got) != 2 || got[0].name != "json64" || got[1].name != "burst" {
		t.Errorf("pick = %v, %v, want json64 and burst in the order of the table", got, err)
	}
	if _, err := pick(all, []string{"json65"}); err == nil || !strings.Contains(err.Error(), "choose from json64, json4, paced") {
		t.Errorf("pick of an unknown name = %v", err)
	}
}

func TestConfigurationsAreFilledIn(t *testing.T) {
	at := places{Listen: "127.0.0.1:21000", Admin: "127.0.0.1:21001", Backend: "127.0.0.1:21002", MaxConns: 4321, Files: 9000, Slots: 10125}
	for _, p := range table("penstock") {
		at.Dir = t.TempDir()
		for speaks, name := range p.configs {
			file, err := p.configure(speaks, at)
			if err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
			if name == noConfig {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{at.Listen, at.Backend} {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s lacks %s:\n%s", filepath.Base(file), want, text)
				}
			}
		}
	}
}
