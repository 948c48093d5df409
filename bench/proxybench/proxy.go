package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed configs
var configs embed.FS

// Names of the built-in entries of the table.
const (
	nameDirect       = "direct" // no proxy: the load goes to the backend
	nameNull         = "null"
	nameReverseProxy = "reverseproxy"
	nameGRPCRelay    = "grpcrelay"
	nameHAProxy      = "haproxy"
	nameNginx        = "nginx"
	namePenstock     = "penstock"
)

// proxy is one row of the table: how to find, configure and start it.
type proxy struct {
	name string
	// program is the executable, looked up in PATH and the sbin folders; without install it is this binary.
	program string
	// install says how to get the program where it is missing.
	install string
	// version are the arguments that make the program print its version.
	version []string
	// configs are the templates that are filled in, by the protocol that they make the proxy speak. Each protocol is a process of its own.
	configs map[protocol]string
	// args builds the command line from the places of the configuration; nil is no proxy.
	args func(places) []string
}

// noConfig is the template of a proxy whose command line says everything.
const noConfig = ""

// speaks reports whether the proxy can be measured with a protocol.
func (p *proxy) speaks(want protocol) bool {
	_, ok := p.configs[want]
	return ok
}

// places is what configuration templates and command lines are filled with.
type places struct {
	Listen   string // address the proxy listens on
	Admin    string // address of its admin port, if it has one
	Backend  string // address of the backend
	Config   string // the filled-in configuration file
	Dir      string // folder for the proxy's own files
	MaxConns int    // connections that it must take from clients
	Files    uint64 // files that it may open
	Slots    uint64 // an eighth more than Files
}

const aptInstall = "on Debian or Ubuntu: sudo apt-get install --no-install-recommends %s"

// table lists every proxy that can be measured, in the order of the report. penstock is the path of its binary.
func table(penstock string) []proxy {
	both := func(http, grpc string) map[protocol]string {
		return map[protocol]string{protocolHTTP: http, protocolGRPC: grpc}
	}
	only := func(speaks protocol) map[protocol]string { return map[protocol]string{speaks: noConfig} }
	own := func(name string) func(places) []string {
		return func(p places) []string { return []string{name, p.Listen, p.Backend} }
	}
	return []proxy{
		{name: nameDirect, configs: both(noConfig, noConfig)},
		{name: nameNull, configs: both(noConfig, noConfig), args: own(nameNull)},
		{name: nameReverseProxy, configs: only(protocolHTTP), args: own(nameReverseProxy)},
		{name: nameGRPCRelay, configs: only(protocolGRPC), args: own(nameGRPCRelay)},
		{
			name: nameHAProxy, configs: both("haproxy.cfg", "haproxy-grpc.cfg"), program: "haproxy", version: []string{"-v"},
			args:    func(p places) []string { return []string{"-db", "-f", p.Config} },
			install: fmt.Sprintf(aptInstall, "haproxy"),
		},
		{
			name: nameNginx, configs: both("nginx.conf", "nginx-grpc.conf"), program: "nginx", version: []string{"-v"},
			args:    func(p places) []string { return []string{"-p", p.Dir, "-e", "stderr", "-c", p.Config} },
			install: fmt.Sprintf(aptInstall, "nginx"),
		},
		{
			name: namePenstock, configs: both("penstock.yaml", "penstock-grpc.yaml"), program: penstock, version: []string{"version"},
			args:    func(p places) []string { return []string{"serve", "--config", p.Config} },
			install: "build it and give its path: go build -o bin/penstock ./cmd/penstock, then --penstock bin/penstock",
		},
	}
}

// choose keeps the named proxies; no names keeps all, without Penstock where no binary was given.
func choose(all []proxy, names []string, penstock string) ([]proxy, error) {
	var chosen []proxy
	for _, p := range all {
		if slices.Contains(names, p.name) || len(names) == 0 && (p.name != namePenstock || penstock != "") {
			chosen = append(chosen, p)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p proxy) bool { return p.name == name }) {
			return nil, fmt.Errorf("there is no proxy %q; choose from %s", name, strings.Join(proxyNames(all), ", "))
		}
	}
	var errs []error
	for i := range chosen {
		errs = append(errs, chosen[i].find())
	}
	return chosen, errors.Join(errs...)
}

func proxyNames(proxies []proxy) []string {
	var names []string
	for _, p := range proxies {
		names = append(names, p.name)
	}
	return names
}

// find replaces program by its full path.
func (p *proxy) find() error {
	if p.args == nil {
		return nil
	}
	if p.install == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("cannot find this program: %w", err)
		}
		p.program = self
		return nil
	}
	// Debian keeps servers where the PATH of ordinary users does not look.
	for _, candidate := range []string{p.program, "/usr/sbin/" + p.program, "/usr/local/sbin/" + p.program} {
		if path, err := exec.LookPath(candidate); err == nil && p.program != "" {
			p.program, err = filepath.Abs(path)
			return err
		}
	}
	return fmt.Errorf("cannot find the program of %s; %s", p.name, p.install)
}

// describe is the first line of what the program says about its version.
func (p *proxy) describe() string {
	if p.args == nil || p.version == nil {
		return ""
	}
	out, err := exec.Command(p.program, p.version...).CombinedOutput()
	line, _, _ := bytes.Cut(out, []byte("\n"))
	if err != nil || len(line) == 0 {
		return "unknown version"
	}
	return strings.TrimPrefix(string(line), "nginx version: ")
}

// configure writes the filled-in configuration for a protocol and returns its path.
func (p *proxy) configure(speaks protocol, at places) (string, error) {
	name := p.configs[speaks]
	if name == noConfig {
		return "", nil
	}
	t, err := template.ParseFS(configs, "configs/"+name+".tmpl")
	if err != nil {
		return "", fmt.Errorf("cannot parse the configuration of %s: %w", p.name, err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, at); err != nil {
		return "", fmt.Errorf("cannot fill in the configuration of %s: %w", p.name, err)
	}
	file := filepath.Join(at.Dir, name)
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		return "", fmt.Errorf("cannot write the configuration of %s: %w", p.name, err)
	}
	return file, nil
}
