// Package config holds the types of Penstock's configuration file, their defaults and their validation.
//
// A file is parsed whole and validated whole: every error is reported at once, with its file, line and field, what is
// wrong and what would be right. Nothing outside this package interprets YAML.
//
// The struct tags beside yaml say what a field takes, for the decoder, the validation and the reference alike: enum lists the words
// of a text; min and max bound a number, a size or a duration; zero says what 0 means where it is allowed beside min and max;
// unit:"bytes" takes sizes such as 64KiB; bare:"number" takes a number without quotes as the text that it is; unless names the field
// beside which this one has no default; secret marks values that may be credentials, which errors never repeat and Redacted hides. The reference, docs/configuration.md, is made of the comments below by go generate.
package config

import "time"

//go:generate go run ./internal/reference

// Config is the whole configuration of a gateway.
type Config struct {
	// Listen is the address of the traffic port, as host:port; an empty host is every address.
	Listen string `yaml:"listen" bare:"number"`
	// Admin is the address of the admin port (health, metrics, debugging). It must not be exposed with traffic.
	Admin string `yaml:"admin" bare:"number"`
	// AdminSecurity says who may read what the admin port shows.
	AdminSecurity AdminSecurity `yaml:"adminSecurity"`
	// TLS turns on TLS on the traffic port.
	TLS *ListenerTLS `yaml:"tls"`
	// TrustedProxies lists the networks (CIDR) and addresses whose X-Forwarded-* headers are kept and appended to; from any other
	// peer these headers are replaced.
	TrustedProxies []string `yaml:"trustedProxies"`
	// ClientHalfClose says what a client's half-close (FIN after its request) means: "abort" cancels the request, as most clients
	// half-close only when they leave; "allow" answers it.
	ClientHalfClose string `yaml:"clientHalfClose" enum:"abort,allow"`
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
	// Autoscale answers the HPA and KEDA; without it nothing does.
	Autoscale *Autoscale `yaml:"autoscale"`
	// ActiveFrom is when a change of the configuration takes effect, as a time of RFC 3339 such as 2026-11-26T14:00:00Z. Replicas of a gateway get a
	// changed file one after the other: with a time that is later than all of them get it, they take it at once, and no user of a split meets
	// the new weights and then the old ones. Without it, or when it has passed, and at the gateway's start, that is at once.
	ActiveFrom string `yaml:"activeFrom"`
	// Pools names the sets of replicas; the name is what routes, metrics and logs use. At least one is needed.
	Pools map[string]*Pool `yaml:"pools"`
	// Routes are tried in order; the first that matches takes the request. Without routes, a single pool takes everything.
	Routes []Route `yaml:"routes"`
}

// ListenerTLS configures TLS on the traffic port.
type ListenerTLS struct {
	// Certificates are chosen by the client's SNI; the first serves clients that send none or an unknown one. At least one is needed.
	Certificates []Certificate `yaml:"certificates"`
	// ClientCA is a PEM file; when set, clients must present a certificate that it signed.
	ClientCA string `yaml:"clientCA"`
	// MinVersion is the lowest TLS version.
	MinVersion string `yaml:"minVersion" enum:"1.2,1.3" bare:"number"`
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
	Sample float64 `yaml:"sample" min:"0" max:"1"`
}

// Limits bounds what one client may send and hold.
type Limits struct {
	// HeaderBytes is the largest request head, request line included; beyond it the answer is 431.
	HeaderBytes int `yaml:"headerBytes" unit:"bytes" min:"1KiB" max:"16MiB"`
	// HeaderCount is the largest number of header fields in a request; beyond it the answer is 431.
	HeaderCount int `yaml:"headerCount" min:"1" max:"10000"`
	// RequestTargetBytes is the longest request target; beyond it the answer is 414.
	RequestTargetBytes int `yaml:"requestTargetBytes" unit:"bytes" min:"64B" max:"16MiB"`
	// BodyBytes is the largest request body; beyond it the answer is 413. 0 is unlimited.
	BodyBytes int64 `yaml:"bodyBytes" unit:"bytes" zero:"unlimited" min:"1B" max:"1024GiB"`
	// HeldBodyBytes is the most of a body that is held while the model's name is looked for; a longer body in which it has not
	// appeared is refused with 413.
	HeldBodyBytes int `yaml:"heldBodyBytes" unit:"bytes" min:"1KiB" max:"1GiB"`
	// Connections is the largest number of client connections at once; beyond it new ones wait in the listener's backlog.
	Connections int `yaml:"connections" min:"1" max:"10000000"`
	// Streams is the largest number of requests at once on one HTTP/2 connection of a client; further ones are refused, and clients that keep
	// to the protocol wait.
	Streams int `yaml:"streams" min:"1" max:"65536"`
}

// Timeouts bounds how long each step of a request may take. 0 turns one off.
type Timeouts struct {
	// RequestHead is how long a client may take to send a request's head, from its first byte (slow-loris guard); then 408.
	RequestHead Duration `yaml:"requestHead" zero:"off" min:"1ms" max:"8760h"`
	// RequestBody is how long a client may pause within a request body; then 408.
	RequestBody Duration `yaml:"requestBody" zero:"off" min:"1ms" max:"8760h"`
	// KeepAlive is how long a client connection may stay idle between requests.
	KeepAlive Duration `yaml:"keepAlive" zero:"off" min:"1ms" max:"8760h"`
	// Connect is how long connecting to an endpoint, TLS included, may take.
	Connect Duration `yaml:"connect" zero:"off" min:"1ms" max:"8760h"`
	// ResponseHeader is how long an endpoint may take until its response's head, from the end of the request; then 504. It must
	// cover the queue and the prefill of a model server, and whole generations that are not streamed.
	ResponseHeader Duration `yaml:"responseHeader" zero:"off" min:"1ms" max:"8760h"`
	// StreamIdle is how long a response or a tunnel may go without a byte; then it is cut, never ended cleanly.
	StreamIdle Duration `yaml:"streamIdle" zero:"off" min:"1ms" max:"8760h"`
	// Write is how long a client may take no byte of its response; then its request is cancelled.
	Write Duration `yaml:"write" zero:"off" min:"1ms" max:"8760h"`
	// Ping is how long the peer of an HTTP/2 connection may be silent until it is asked for a sign of life; without one within 20 s the
	// connection is cut. Endpoints are asked only while requests are underway. gRPC servers by default take it amiss when they are asked more
	// often than every five minutes.
	Ping Duration `yaml:"ping" zero:"off" min:"1s" max:"8760h"`
}

// Shutdown sets the order of a graceful stop: readiness off, lame duck, drain, exit.
type Shutdown struct {
	// LameDuck is how long the gateway keeps accepting after readiness went off, so that load balancers notice.
	LameDuck Duration `yaml:"lameDuck" min:"0s" max:"1h"`
	// Drain is how long in-flight requests may then take to finish before they are cut.
	Drain Duration `yaml:"drain" min:"0s" max:"24h"`
}

// Activation is the time of ActiveFrom; long past if there is none.
func (c *Config) Activation() time.Time {
	at, err := time.Parse(time.RFC3339, c.ActiveFrom)
	if err != nil {
		return time.Time{}
	}
	return at
}
