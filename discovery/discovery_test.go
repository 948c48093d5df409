package discovery

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
)

func TestSourcesOfListedEndpoints(t *testing.T) {
	c := &config.Config{Pools: map[string]*config.Pool{"a": {Endpoints: []string{"http://127.0.0.1:9000"}}}}
	if sources, err := Sources(c); err != nil || len(sources) != 0 {
		t.Errorf("got %v and %v, want nothing to watch and no error", sources, err)
	}
}

func TestSourcesOffCluster(t *testing.T) {
	dns := config.DefaultDNS
	dns.Name = "llama.test."
	c := &config.Config{Pools: map[string]*config.Pool{
		"c": {File: "endpoints.yaml"}, "b": {Endpoints: []string{"http://127.0.0.1:9000"}}, "a": {DNS: &dns}}}
	sources, err := Sources(c)
	if err != nil || len(sources) != 2 || sources[0].Pool() != "a" || sources[1].Pool() != "c" || sources[1].Key() != "file endpoints.yaml" {
		t.Errorf("got %v and %v, want sources for a and c", sources, err)
	}
}

func TestServicesAreRefusedByName(t *testing.T) {
	c := &config.Config{Pools: map[string]*config.Pool{
		"b": {Service: &config.Service{Namespace: "models", Name: "llama"}},
		"a": {Service: &config.Service{Namespace: "models", Name: "qwen"}},
	}}
	_, err := Sources(c)
	if err == nil {
		t.Fatal("got no error for a source that does not exist")
	}
	text := err.Error()
	a, b := strings.Index(text, "models/qwen of pool a"), strings.Index(text, "models/llama of pool b")
	if a < 0 || b < a || !strings.Contains(text, "list the pool's endpoints instead") {
		t.Errorf("got %q, want both services, sorted by pool, and what to do", text)
	}
}
