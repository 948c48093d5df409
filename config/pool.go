package config

// Pool is the replicas that serve one model version. They are listed in endpoints, or found through service, dns or file: exactly one
// of the four is set.
type Pool struct {
	// Endpoints lists replicas as URLs: http://, https:// or h2c:// (HTTP/2 without TLS) with host and port.
	Endpoints []string `yaml:"endpoints"`
	// Service names a Kubernetes Service whose EndpointSlices are watched.
	Service *Service `yaml:"service"`
	// DNS names what is looked up to find replicas.
	DNS *DNS `yaml:"dns"`
	// File names a YAML file that lists replicas, endpoints: [URL, ...], or endpoints: [] for none, and is looked at every second. What it
	// listed last stays in force while it cannot be read or has errors.
	File string `yaml:"file"`
	// Engine names the model server, and so the metrics that are polled; dcgm polls NVIDIA's exporter of a GPU's metrics instead, for
	// display, and none nothing.
	Engine string `yaml:"engine" enum:"vllm,sglang,triton,tensorrt-llm,tgi,dcgm,none"`
	// Metrics says where and how often the engine's metrics are polled; without it as the engine's defaults say.
	Metrics *Metrics `yaml:"metrics"`
	// Balance names the policy that picks an endpoint. Three of them look at the prompts of requests to OpenAI's API: auto picks where a
	// request does the least harm to objectives, and goes by what engine's metrics say, too; least-tokens spreads prompts' lengths; and
	// prefix sends those that begin alike to the same endpoint, within a bound on its load. Where a prompt is not known all go by requests
	// in flight.
	Balance string `yaml:"balance" enum:"auto,least-outstanding,power-of-two,round-robin,random,peak-ewma,session,least-tokens,prefix"`
	// Objectives are the latencies that balance: auto tries to keep.
	Objectives Objectives `yaml:"objectives"`
	// Session says what identifies a session, for balance: session, which needs it, and for auto, which goes by it where a prompt
	// is not known or too short to tell.
	Session *Key `yaml:"session"`
	// MaxInFlight is the largest number of requests in flight per endpoint; beyond it requests queue. 0 is unlimited. Each replica of the
	// gateway counts its own.
	MaxInFlight int `yaml:"maxInFlight" zero:"unlimited" min:"1" max:"1000000"`
	// Queue bounds the requests that wait for an endpoint.
	Queue Queue `yaml:"queue"`
	// Probe actively checks endpoints; absent means no probing. An endpoint that is not healthy takes no picks.
	Probe *Probe `yaml:"probe"`
	// Eject takes failing endpoints out of the pick for a time.
	Eject Eject `yaml:"eject"`
	// SlowStart is how long a new or recovered endpoint takes to reach its full share. 0 turns it off.
	SlowStart Duration `yaml:"slowStart" zero:"off" min:"1ms" max:"24h"`
	// Retry bounds retries of requests that no endpoint has begun.
	Retry Retry `yaml:"retry"`
	// TLS configures https:// endpoints.
	TLS *UpstreamTLS `yaml:"tls"`
	// IdleConnections is the most idle connections that are kept per endpoint. 0 keeps none.
	IdleConnections int `yaml:"idleConnections" min:"0" max:"1000000"`
	// IdleTimeout is how long an idle upstream connection is kept. vLLM closes its side after 5 s: stay below that.
	IdleTimeout Duration `yaml:"idleTimeout" min:"1ms" max:"24h"`
}

// Objectives are latencies that requests should meet.
type Objectives struct {
	// TTFT is the longest time to the first token that is good enough.
	TTFT Duration `yaml:"ttft" min:"1ms" max:"1h"`
	// TPOT is the longest mean time of each further token that is good enough.
	TPOT Duration `yaml:"tpot" min:"1ms" max:"1m"`
}

// Service names a Kubernetes Service.
type Service struct {
	// Namespace is the Service's namespace.
	Namespace string `yaml:"namespace"`
	// Name is the Service's name.
	Name string `yaml:"name"`
	// Port is the name or number of the Service's port; empty is allowed when it has only one.
	Port string `yaml:"port" bare:"number"`
	// Scheme is how its endpoints are spoken to, as in the URLs of endpoints; auto goes by the port's appProtocol: https is https,
	// kubernetes.io/h2c and grpc are h2c, and all else is http.
	Scheme string `yaml:"scheme" enum:"auto,http,https,h2c"`
	// TopologyHints keeps to the endpoints that Kubernetes has allotted to the gateway's own node or zone, where it has allotted all of them. The
	// gateway reads where it is from $PENSTOCK_NODE and $PENSTOCK_ZONE.
	TopologyHints bool `yaml:"topologyHints"`
}

// Key says which part of a request identifies its user or session. Exactly one field is set.
type Key struct {
	// Header names a request header.
	Header string `yaml:"header"`
	// Cookie names a cookie.
	Cookie string `yaml:"cookie"`
	// ClientIP uses the client's address, as trusted proxies give it.
	ClientIP bool `yaml:"clientIP"`
}

// Queue bounds the requests that wait for an endpoint.
type Queue struct {
	// Size is the most requests that wait in a pool; beyond it the answer is 429. 0 means none may wait.
	Size int `yaml:"size" min:"0" max:"1000000"`
	// Timeout is how long one may wait; then 504 (503 if the pool has no endpoint).
	Timeout Duration `yaml:"timeout" min:"1ms" max:"24h"`
}

// Probe actively checks endpoints, over HTTP or by gRPC's health protocol.
type Probe struct {
	// Path is what is requested with GET; 200 to 299 is healthy. Beside grpc it must be left out.
	Path string `yaml:"path" unless:"grpc"`
	// GRPC asks grpc.health.v1.Health instead; SERVING is healthy. Where the endpoint offers Watch, a call stays open and each change
	// counts at once; else it is asked with Check.
	GRPC *GRPCProbe `yaml:"grpc"`
	// Interval is the time between two probes of an endpoint.
	Interval Duration `yaml:"interval" min:"100ms" max:"1h"`
	// Timeout is how long a probe may take, at most Interval.
	Timeout Duration `yaml:"timeout" min:"1ms" max:"1h"`
	// HealthyAfter is how many successes in a row make an endpoint healthy.
	HealthyAfter int `yaml:"healthyAfter" min:"1" max:"1000"`
	// UnhealthyAfter is how many failures in a row make an endpoint unhealthy.
	UnhealthyAfter int `yaml:"unhealthyAfter" min:"1" max:"1000"`
}

// GRPCProbe asks endpoints by gRPC's health protocol, over TLS where they are at https:// and else without. Empty, as in grpc: {}, it
// asks for the whole server.
type GRPCProbe struct {
	// Service is the name of the service that is asked for; without it the whole server is.
	Service string `yaml:"service"`
}

// Eject takes failing endpoints out of the pick for a time. Only connect failures, resets and broken responses count; client
// errors do not, and 429 and 503 are back-pressure. The last endpoint of a pool is never ejected,
// unless its Service no longer lists it: then requests rather wait for another one.
type Eject struct {
	// ConsecutiveFailures is how many failures in a row eject an endpoint. 0 turns ejection off.
	ConsecutiveFailures int `yaml:"consecutiveFailures" zero:"off" min:"1" max:"1000"`
	// BaseTime is how long the first ejection lasts; each further one in a row doubles it.
	BaseTime Duration `yaml:"baseTime" min:"1ms" max:"24h"`
	// MaxTime is the longest ejection, at least BaseTime.
	MaxTime Duration `yaml:"maxTime" min:"1ms" max:"24h"`
	// MaxPercent is the largest share of a pool that may be ejected at once, 0 to 100.
	MaxPercent int `yaml:"maxPercent" min:"0" max:"100"`
}

// Retry bounds retries. Only requests that no endpoint has begun are retried, on another endpoint if there is one.
type Retry struct {
	// Attempts is the most retries of one request. 0 turns retries off.
	Attempts int `yaml:"attempts" zero:"off" min:"1" max:"10"`
	// BudgetPercent is the most retries as a share of a pool's requests, 0 to 100; ten a second are always allowed.
	BudgetPercent int `yaml:"budgetPercent" min:"0" max:"100"`
}

// UpstreamTLS configures TLS towards endpoints.
type UpstreamTLS struct {
	// CA is a PEM file with the authorities that sign the endpoints' certificates; empty is the system's.
	CA string `yaml:"ca"`
	// ServerName is the name that certificates are checked against and that is sent as SNI; empty is the endpoint's host.
	ServerName string `yaml:"serverName"`
	// CertFile is a PEM client certificate for endpoints that ask for one.
	CertFile string `yaml:"certFile"`
	// KeyFile is the key of CertFile.
	KeyFile string `yaml:"keyFile"`
	// InsecureSkipVerify accepts any certificate. Only for trying things out.
	InsecureSkipVerify bool `yaml:"insecureSkipVerify"`
}
