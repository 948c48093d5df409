package discovery

import (
	"testing"

	"github.com/penstock/penstock/config"
)

func TestSourcesOfListedEndpoints(t *testing.T) {
	c := &config.Config{Pools: map[string]*config.Pool{"a": {Endpoints: []string{"http://127.0.0.1:9000"}}}}
	if sources, err := new(Finder).Sources(c); err != nil || len(sources) != 0 {
		t.Errorf("got %v and %v, want nothing to watch and no error", sources, err)
	}
}

func TestSourcesOffCluster(t *testing.T) {
	dns := config.DefaultDNS
	dns.Name = "llama.test."
	c := &config.Config{Pools: map[string]*config.Pool{
		"c": {File: "endpoints.yaml"}, "b": {Endpoints: []string{"http://127.0.0.1:9000"}}, "a": {DNS: &dns}}}
	sources, err := new(Finder).Sources(c)
	if err != nil || len(sources) != 2 || sources[0].Pool() != "a" || sources[1].Pool() != "c" || sources[1].Key() != "file endpoints.yaml" {
		t.Errorf("got %v and %v, want sources for a and c", sources, err)
	}
}
