// Package config holds the types of Penstock's configuration file, their defaults and their validation.
//
// A file is parsed whole and validated whole: every error is reported at once, with its file, line and field, what is
// wrong and what would be right. Nothing outside this package interprets YAML.
package config

// Config is the whole configuration of a gateway.
type Config struct {
	// Listen is the address of the traffic port, as host:port; an empty host is every address.
	Listen string `yaml:"listen"`
	// Admin is the address of the admin port (health, metrics, debugging). It must not be exposed with traffic.
	Admin string `yaml:"admin"`
	// TLS turns on TLS on the traffic port.
	TLS *ListenerTLS `yaml:"tls"`
	// TrustedProxies lists the networks (CIDR) and addresses whose X-Forwarded-* headers are kept and appended to; from any other
	// peer these headers are replaced.
	TrustedProxies []string `yaml:"trustedProxies"`
	// ClientHalfClose says what a client's half-close (FIN after its request) means: "abort" cancels the request, as most clients
	// half-close only when they leave; "allow" answers it.
	ClientHalfClose string `yaml:"clientHalfClose"`
	// DebugHeaders adds x-penstock-endpoint, the ip:port that answered, to every response.
	DebugHeaders bool `yaml:"debugHeaders"`
	// AccessLog sets the log line of each request.
	AccessLog AccessLog `yaml:"accessLog"`
	// Limits bounds what one client may send and hold.
	Limits Limits `yaml:"limits"`
	// Timeouts bounds how long each step of a request may take.
	Timeouts Timeouts `yaml:"timeouts"`
	// Shutdown sets the order of a graceful stop.
	Shutdown Shutdown `yaml:"shutdown"`
	// Pools names the sets of replicas; the name is what routes, metrics and logs use.
	Pools map[string]*Pool `yaml:"pools"`
	// Routes are tried in order; the first that matches takes the request. Without routes, a single pool takes everything.
	Routes []Route `yaml:"routes"`
}

// ListenerTLS configures TLS on the traffic port.
type ListenerTLS struct {
	// Certificates are chosen by the client's SNI; the first serves clients that send none or an unknown one.
	Certificates []Certificate `yaml:"certificates"`
	// ClientCA is a PEM file; when set, clients must present a certificate that it signed.
	ClientCA string `yaml:"clientCA"`
	// MinVersion is the lowest TLS version, "1.2" or "1.3".
	MinVersion string `yaml:"minVersion"`
	// AllowPlaintext also takes connections without TLS on the same port.
	AllowPlaintext bool `yaml:"allowPlaintext"`
}

// Certificate is a certificate chain and its key. Both files are read again when they change.
type Certificate struct {
	// CertFile is a PEM file with the certificate chain, leaf first.
	CertFile string `yaml:"certFile"`
	// KeyFile is a PEM file with the private key.
	KeyFile string `yaml:"keyFile"`
}

// AccessLog sets the log line of each request.
type AccessLog struct {
	// Enabled writes access-log lines.
	Enabled bool `yaml:"enabled"`
	// Sample is the share of successful requests that are logged, 0 to 1; failed requests are always logged.
	Sample float64 `yaml:"sample"`
}

// Limits bounds what one client may send and hold.
type Limits struct {
	// HeaderBytes is the largest request head, request line included; beyond it the answer is 431.
	HeaderBytes int `yaml:"headerBytes"`
	// HeaderCount is the largest number of header fields in a request; beyond it the answer is 431.
	HeaderCount int `yaml:"headerCount"`
	// RequestTargetBytes is the longest request target; beyond it the answer is 414.
	RequestTargetBytes int `yaml:"requestTargetBytes"`
	// BodyBytes is the largest request body; beyond it the answer is 413. 0 is unlimited.
	BodyBytes int64 `yaml:"bodyBytes"`
	// HeldBodyBytes is the most of a body that is held while the model's name is looked for; a longer body in which it has not
	// appeared is refused with 413.
	HeldBodyBytes int `yaml:"heldBodyBytes"`
	// Connections is the largest number of client connections at once; beyond it new ones wait in the listener's backlog.
	Connections int `yaml:"connections"`
}

// Timeouts bounds how long each step of a request may take. 0 turns one off.
type Timeouts struct {
	// RequestHead is how long a client may take to send a request's head, from its first byte (slow-loris guard); then 408.
	RequestHead Duration `yaml:"requestHead"`
	// RequestBody is how long a client may pause within a request body; then 408.
	RequestBody Duration `yaml:"requestBody"`
	// KeepAlive is how long a client connection may stay idle between requests.
	KeepAlive Duration `yaml:"keepAlive"`
	// Connect is how long connecting to an endpoint, TLS included, may take.
	Connect Duration `yaml:"connect"`
	// ResponseHeader is how long an endpoint may take until its response's head, from the end of the request; then 504. It must
	// cover the queue and the prefill of a model server, and whole generations that are not streamed.
	ResponseHeader Duration `yaml:"responseHeader"`
	// StreamIdle is how long a response or a tunnel may go without a byte; then it is cut, never ended cleanly.
	StreamIdle Duration `yaml:"streamIdle"`
	// Write is how long a client may take no byte of its response; then its request is cancelled.
	Write Duration `yaml:"write"`
}

// Shutdown sets the order of a graceful stop: readiness off, lame duck, drain, exit.
type Shutdown struct {
	// LameDuck is how long the gateway keeps accepting after readiness went off, so that load balancers notice.
	LameDuck Duration `yaml:"lameDuck"`
	// Drain is how long in-flight requests may then take to finish before they are cut.
	Drain Duration `yaml:"drain"`
}

// Pool is the replicas that serve one model version.
type Pool struct {
	// Endpoints lists replicas as URLs: http://, https:// or h2c:// with host and port.
	Endpoints []string `yaml:"endpoints"`
	// Service names a Kubernetes Service whose EndpointSlices are watched.
	Service *Service `yaml:"service"`
	// Engine names the model server, and so the metrics that are polled: vllm, sglang, triton, tensorrt-llm, tgi or none.
	Engine string `yaml:"engine"`
	// Balance names the policy that picks an endpoint: least-outstanding, power-of-two, round-robin, random, peak-ewma or session.
	Balance string `yaml:"balance"`
	// Session says what identifies a session for balance: session.
	Session *Key `yaml:"session"`
	// MaxInFlight is the largest number of requests in flight per endpoint; beyond it requests queue. 0 is unlimited.
	MaxInFlight int `yaml:"maxInFlight"`
	// Queue bounds the requests that wait for an endpoint.
	Queue Queue `yaml:"queue"`
	// Probe actively checks endpoints; absent means no probing. An endpoint that is not healthy takes no picks.
	Probe *Probe `yaml:"probe"`
	// Eject takes failing endpoints out of the pick for a time.
	Eject Eject `yaml:"eject"`
	// SlowStart is how long a new or recovered endpoint takes to reach its full share. 0 turns it off.
	SlowStart Duration `yaml:"slowStart"`
	// Retry bounds retries of requests that no endpoint has begun.
	Retry Retry `yaml:"retry"`
	// TLS configures https:// endpoints.
	TLS *UpstreamTLS `yaml:"tls"`
	// IdleConnections is the most idle connections that are kept per endpoint.
	IdleConnections int `yaml:"idleConnections"`
	// IdleTimeout is how long an idle upstream connection is kept. vLLM closes its side after 5 s: stay below that.
	IdleTimeout Duration `yaml:"idleTimeout"`
}

// Service names a Kubernetes Service.
type Service struct {
	// Namespace is the Service's namespace.
	Namespace string `yaml:"namespace"`
	// Name is the Service's name.
	Name string `yaml:"name"`
	// Port is the name or number of the Service's port; empty is allowed when it has only one.
	Port string `yaml:"port"`
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
	Size int `yaml:"size"`
	// Timeout is how long one may wait; then 504 (503 if the pool has no endpoint).
	Timeout Duration `yaml:"timeout"`
}

// Probe actively checks endpoints over HTTP.
type Probe struct {
	// Path is what is requested with GET; 200 to 299 is healthy.
	Path string `yaml:"path"`
	// Interval is the time between two probes of an endpoint.
	Interval Duration `yaml:"interval"`
	// Timeout is how long a probe may take.
	Timeout Duration `yaml:"timeout"`
	// HealthyAfter is how many successes in a row make an endpoint healthy.
	HealthyAfter int `yaml:"healthyAfter"`
	// UnhealthyAfter is how many failures in a row make an endpoint unhealthy.
	UnhealthyAfter int `yaml:"unhealthyAfter"`
}

// Eject takes failing endpoints out of the pick for a time. Only connect failures, resets and broken responses count; client
// errors do not, and 429 and 503 are back-pressure. The last endpoint of a pool is never ejected.
type Eject struct {
	// ConsecutiveFailures is how many failures in a row eject an endpoint. 0 turns ejection off.
	ConsecutiveFailures int `yaml:"consecutiveFailures"`
	// BaseTime is how long the first ejection lasts; each further one in a row doubles it.
	BaseTime Duration `yaml:"baseTime"`
	// MaxTime is the longest ejection.
	MaxTime Duration `yaml:"maxTime"`
	// MaxPercent is the largest share of a pool that may be ejected at once, 0 to 100.
	MaxPercent int `yaml:"maxPercent"`
}

// Retry bounds retries. Only requests that no endpoint has begun are retried, on another endpoint if there is one.
type Retry struct {
	// Attempts is the most retries of one request. 0 turns retries off.
	Attempts int `yaml:"attempts"`
	// BudgetPercent is the most retries as a share of a pool's requests, 0 to 100; ten a second are always allowed.
	BudgetPercent int `yaml:"budgetPercent"`
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

// Route says which requests go where.
type Route struct {
	// Name is what metrics and logs call the route; empty is route-N, counted from 0.
	Name string `yaml:"name"`
	// Match says which requests the route takes; all fields that are set must match. Empty takes everything.
	Match Match `yaml:"match"`
	// Split spreads the route's requests over pools by weight.
	Split []Target `yaml:"split"`
	// Sticky keeps a user on the pool that the split gave it; raising a pool's weight moves nobody off that pool.
	Sticky *Key `yaml:"sticky"`
	// Mirror sends copies of requests to another pool and drops the answers; it can never slow or fail the original.
	Mirror *Mirror `yaml:"mirror"`
	// Rewrite changes the request's path.
	Rewrite *Rewrite `yaml:"rewrite"`
	// RequestHeaders changes headers on their way to the endpoint.
	RequestHeaders *HeaderEdit `yaml:"requestHeaders"`
	// ResponseHeaders changes headers on their way to the client.
	ResponseHeaders *HeaderEdit `yaml:"responseHeaders"`
}

// Match says which requests a route takes. All fields that are set must match.
type Match struct {
	// Host is the request's host without port; "*.example.com" matches any name below it.
	Host string `yaml:"host"`
	// Path is a prefix of the path, on whole segments: /v1 matches /v1 and /v1/models, not /v10.
	Path string `yaml:"path"`
	// Method is the HTTP method.
	Method string `yaml:"method"`
	// Headers are header fields and the exact values that they must have.
	Headers map[string]string `yaml:"headers"`
	// Model is the model's name in the request's body.
	Model string `yaml:"model"`
	// GRPCService is a full gRPC service name, such as inference.GRPCInferenceService.
	GRPCService string `yaml:"grpcService"`
	// GRPCMethod is a method of GRPCService.
	GRPCMethod string `yaml:"grpcMethod"`
}

// Target is one pool of a split.
type Target struct {
	// Pool is the pool's name.
	Pool string `yaml:"pool"`
	// Weight is the pool's share, as a part of the sum of all weights. A single target needs none.
	Weight int `yaml:"weight"`
	// Model replaces the model's name in the request's body, and nothing else of it.
	Model string `yaml:"model"`
}

// Mirror sends copies of requests to another pool.
type Mirror struct {
	// Pool takes the copies.
	Pool string `yaml:"pool"`
	// Percent is the share of requests that are copied, 0 to 100.
	Percent float64 `yaml:"percent"`
	// MaxBodyBytes is the largest request body that is copied; larger requests are not mirrored.
	MaxBodyBytes int `yaml:"maxBodyBytes"`
}

// Rewrite changes the request's path.
type Rewrite struct {
	// PathPrefix replaces the prefix that Match.Path matched.
	PathPrefix string `yaml:"pathPrefix"`
}

// HeaderEdit changes headers: Remove first, then Set, which replaces all fields of the same name.
type HeaderEdit struct {
	// Set gives headers a value, replacing any they had.
	Set map[string]string `yaml:"set"`
	// Remove drops headers.
	Remove []string `yaml:"remove"`
}
