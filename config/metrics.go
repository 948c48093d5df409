package config

import "strconv"

// Metrics says where and how often an engine's metrics are polled. Without it everything has its default. What was read is shown with the
// endpoints, and how old it is; an endpoint whose metrics cannot be read keeps taking requests.
type Metrics struct {
	// Path is what is requested with GET. The default is /prometheus/metrics for tensorrt-llm, else /metrics.
	Path string `yaml:"path"`
	// Port is where the metrics are served, on the endpoint's host. The default is 8002 for triton and 9400 for dcgm, else 0.
	Port *int `yaml:"port" zero:"the endpoint's own" min:"1" max:"65535"`
	// Scheme is how the port is spoken to; auto is the endpoint's own scheme at its own port, and http at another one. For https the
	// pool's tls holds where the endpoint is at https:// as well.
	Scheme string `yaml:"scheme" enum:"auto,http,https,h2c"`
	// Interval is the time between two polls of an endpoint. It becomes longer for one that fails, up to 30s.
	Interval Duration `yaml:"interval" min:"100ms" max:"1h"`
	// Timeout is how long a poll may take; less than Interval.
	Timeout Duration `yaml:"timeout" min:"1ms" max:"1h"`
}

// Where engines serve their metrics unless they are told otherwise. Those that are not listed do so beside their API, at /metrics.
var (
	metricsPaths = map[string]string{"tensorrt-llm": "/prometheus/metrics"}
	metricsPorts = map[string]int{"triton": 8002, "dcgm": 9400}
)

// Polled says how the pool's metrics are polled, with every default of its engine filled in; nil if they are not.
func (p *Pool) Polled() *Metrics {
	if p.Engine == "none" {
		return nil
	}
	m := DefaultMetrics
	if p.Metrics != nil {
		m = *p.Metrics
	}
	if m.Path == "" {
		m.Path = "/metrics"
		if path, ok := metricsPaths[p.Engine]; ok {
			m.Path = path
		}
	}
	if m.Port == nil {
		m.Port = new(metricsPorts[p.Engine])
	}
	return &m
}

// URL is where the metrics of an endpoint are. Port must be set, as it is in what Polled returns.
func (m *Metrics) URL(e Endpoint) string {
	own := e.Scheme
	if *m.Port != 0 && strconv.Itoa(*m.Port) != e.Port {
		e.Port, own = strconv.Itoa(*m.Port), "http"
	}
	if e.Scheme = m.Scheme; m.Scheme == "auto" {
		e.Scheme = own
	}
	return e.String() + m.Path
}

// completeMetrics writes the defaults of engines out, so that they are seen.
func completeMetrics(c *Config) {
	for _, p := range c.Pools {
		if m := p.Polled(); m != nil {
			p.Metrics = m
		}
	}
}
