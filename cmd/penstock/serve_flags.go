package main

import (
	"errors"
	"io"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery"
)

// serveFlags is the command line of penstock serve.
type serveFlags struct {
	file, service, listen, admin, balance, engine, probe string
	backends                                             listFlag
}

func parseServe(args []string, stderr io.Writer) (s *serveFlags, code int, ok bool) {
	s = new(serveFlags)
	f := newFlags("serve", "Runs the gateway, from a configuration file or, for a single pool, from flags alone.", stderr)
	f.StringVar(&s.file, "config", "", "The configuration is read from `FILE`, now and whenever it changes.")
	f.Var(&s.backends, "backend", "A model server at `URL` (http://, https:// or h2c://, with host and port) takes requests; repeat the flag for further ones.")
	f.StringVar(&s.service, "service", "", "The endpoints of the Kubernetes Service `NAMESPACE/NAME[:PORT]` take requests.")
	f.StringVar(&s.listen, "listen", "", "Traffic is taken at `HOST:PORT`, where an empty host is every address; the default is what the file says, else "+config.DefaultConfig.Listen+".")
	f.StringVar(&s.admin, "admin", "", "Health, metrics and debugging are served at `HOST:PORT`; the default is what the file says, else "+config.DefaultConfig.Admin+".")
	f.StringVar(&s.balance, "balance", "", "Each request goes to the endpoint that `POLICY` picks: auto (the default), least-outstanding, power-of-two, round-robin, random, peak-ewma, least-tokens or prefix.")
	f.StringVar(&s.engine, "engine", "", "The endpoints run the model server `NAME`, whose metrics are then polled: vllm, sglang, triton, tensorrt-llm, tgi, dcgm or none (the default).")
	f.StringVar(&s.probe, "probe", "", "Endpoints are probed with GET `PATH` and take requests while they answer with 200 to 299; grpc and grpc:SERVICE probe by gRPC's health protocol instead; the default is not to probe.")
	if code, ok := f.parse(args); !ok {
		return nil, code, false
	}
	if s.file == "" && len(s.backends) == 0 && s.service == "" {
		return nil, f.wrong("there is nothing to serve: give --config FILE, or --backend URL for each model server"), false
	}
	if s.file != "" {
		for _, name := range []string{"backend", "service", "balance", "engine", "probe"} {
			if f.isSet(name) {
				return nil, f.wrong("--%s cannot be combined with --config: set it in the file's pools instead", name), false
			}
		}
	}
	return s, exitOK, true
}

// load returns the configuration that the command line asks for.
func (s *serveFlags) load() (*config.Config, error) {
	if s.file == "" {
		return s.withoutFile(nil)
	}
	c, err := config.Load(s.file)
	if err != nil {
		return nil, err
	}
	s.override(c)
	return c, c.Validate()
}

// configure makes the configuration of a gateway without a file anew, for settings that its pool has from its Service.
func (s *serveFlags) configure(settings map[string]*config.Pool) (*config.Config, error) {
	for _, pool := range settings {
		c, err := s.withoutFile(pool)
		return c, annotated(err)
	}
	return s.withoutFile(nil)
}

// annotated has errors that are of no flag say that they are of the Service's annotation.
func annotated(err error) error {
	var all config.Errors
	if !errors.As(err, &all) {
		return err
	}
	for i := range all {
		if !strings.HasPrefix(all[i].Field, "--") {
			all[i].File = "the annotation " + discovery.SettingsAnnotation
		}
	}
	return all
}

// override lets the flags win over the file.
func (s *serveFlags) override(c *config.Config) {
	if s.listen != "" {
		c.Listen = s.listen
	}
	if s.admin != "" {
		c.Admin = s.admin
	}
}

// withoutFile makes a configuration with a single pool, which takes every request. settings are those that it has from its Service; what flags
// say wins over them.
func (s *serveFlags) withoutFile(settings *config.Pool) (*config.Config, error) {
	var service *config.Service
	if s.service != "" {
		var err error
		if service, err = config.ParseService(s.service); err != nil {
			return nil, err
		}
	}
	c, err := config.Quick(s.listen, s.admin, s.backends, service, s.balance, s.engine, settings)
	if err != nil || s.probe == "" {
		return c, err
	}
	probe, err := config.ParseProbe(s.probe)
	if err != nil {
		return nil, err
	}
	for _, pool := range c.Pools {
		pool.Probe = probe
	}
	var wrong config.Errors
	if errors.As(c.Validate(), &wrong) {
		wrong[0].Field = "--probe" // all else was found valid
		return nil, wrong[:1]
	}
	return c, nil
}
