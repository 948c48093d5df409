package config

import "strconv"

// Route says which requests go where.
type Route struct {
	// Name is what metrics and logs call the route; empty is route-N, counted from 0.
	Name string `yaml:"name"`
	// Match says which requests the route takes; all fields that are set must match. Empty takes everything.
	Match Match `yaml:"match"`
	// Split spreads the route's requests over pools by weight. At least one target is needed.
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
	// Host is the request's host without port, in lower case; "*.example.com" matches any name below it.
	Host string `yaml:"host"`
	// Path is a prefix of the path, on whole segments: /v1 matches /v1 and /v1/models, not /v10.
	Path string `yaml:"path"`
	// Method is the HTTP method.
	Method string `yaml:"method"`
	// Headers are header fields and the exact values that they must have.
	Headers map[string]string `yaml:"headers" secret:"true"`
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
	// Weight is the pool's share, as a part of the sum of all weights. Either every target of a split has one or none has; without
	// weights all shares are equal. 0 gives the pool nothing yet.
	Weight *int `yaml:"weight" min:"0" max:"1000000"`
	// Model replaces the model's name in the request's body, and nothing else of it.
	Model string `yaml:"model"`
}

// Mirror sends copies of requests to another pool.
type Mirror struct {
	// Pool takes the copies. It must not be a pool of the route's split.
	Pool string `yaml:"pool"`
	// Percent is the share of requests that are copied, 0 to 100.
	Percent float64 `yaml:"percent" min:"0" max:"100"`
	// MaxBodyBytes is the largest request body that is copied; larger requests are not mirrored.
	MaxBodyBytes int `yaml:"maxBodyBytes" unit:"bytes" min:"1B" max:"1GiB"`
}

// Rewrite changes the request's path.
type Rewrite struct {
	// PathPrefix replaces the prefix that Match.Path matched.
	PathPrefix string `yaml:"pathPrefix"`
}

// HeaderEdit changes headers: Remove first, then Set, which replaces all fields of the same name. Hop-by-hop headers (RFC 9110
// section 7.6.1) and those that frame or address a message are the gateway's and cannot be changed.
type HeaderEdit struct {
	// Set gives headers a value, replacing any they had.
	Set map[string]string `yaml:"set" secret:"true"`
	// Remove drops headers.
	Remove []string `yaml:"remove"`
}

// DisplayName is what metrics and logs call the route that stands at index i, counted from 0, of Config.Routes: its name, or
// route-N if it has none.
func (r *Route) DisplayName(i int) string {
	if r.Name != "" {
		return r.Name
	}
	return "route-" + strconv.Itoa(i)
}

// Weights returns the weight of each target of the split, in its order: 1 for every target of a split without weights, and else
// what the targets say. In a valid configuration they are at least 0 and their sum is at least 1.
func (r *Route) Weights() []int {
	weights := make([]int, len(r.Split))
	given := false
	for i, t := range r.Split {
		if t.Weight != nil {
			weights[i], given = *t.Weight, true
		}
	}
	if given {
		return weights
	}
	for i := range weights {
		weights[i] = 1
	}
	return weights
}
