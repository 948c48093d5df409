// Package route decides where a request goes: it matches requests against an ordered table of rules, spreads a rule's requests
// over pools by weight, keeps users on their pool, and prepares what a rule changes on the way (path, headers, mirror).
//
// A Table is immutable and safe for concurrent use. Nothing in it allocates while requests pass.
package route

// MaxWeight is the largest weight of a target; the Kubernetes Gateway API has the same bound (HTTPBackendRef.weight).
const MaxWeight = 1_000_000

// Rule says which requests it takes and what becomes of them. Conditions that are left empty hold for every request; all that
// are set must hold.
type Rule struct {
	// Name is what metrics and logs call the rule; empty is route-N, N being its place in the table, counted from 0.
	Name string

	// Host is compared without port, case and trailing dot; "*.example.com" holds for any name below example.com, however deep,
	// and not for example.com itself.
	Host string
	// Path is a prefix of the request's path on whole segments: /v1 holds for /v1, /v1/ and /v1/models, not for /v10. A trailing
	// slash means nothing. See Table.Match for encoded paths and dot segments.
	Path string
	// Method is the HTTP method, compared exactly.
	Method string
	// Headers are fields and the values that they must have, compared exactly. Of several fields with one name any suffices.
	Headers map[string]string
	// Model is the model's name, compared exactly with the name that the request gives, unescaped.
	Model string
	// GRPCService is a full gRPC service name, compared exactly.
	GRPCService string
	// GRPCMethod is a method of GRPCService, compared exactly.
	GRPCMethod string

	// Targets are the pools that share the rule's requests.
	Targets []Target
	// Sticky keeps a user on one target; nil chooses anew for every request.
	Sticky *Key
	// Mirror sends copies of requests to another pool; nil sends none.
	Mirror *Mirror
	// RewritePrefix replaces the prefix that Path matched; nil leaves the path as it is.
	RewritePrefix *string
	// RequestHeaders changes header fields on their way to the endpoint.
	RequestHeaders Edit
	// ResponseHeaders changes header fields on their way to the client.
	ResponseHeaders Edit
}

// Target is one pool of a split.
type Target struct {
	// Pool is the pool's name.
	Pool string
	// Weight is the pool's share, as a part of the sum of all weights, 0 to MaxWeight. 0 is never chosen, but that the only target
	// of a rule always is.
	Weight int
	// Model replaces the model's name in the request; empty keeps it.
	Model string
}

// Key says which part of a request identifies its user. Exactly one field is set.
type Key struct {
	// Header names a header field; its first value is the user.
	Header string
	// Cookie names a cookie.
	Cookie string
	// ClientIP takes the client's address.
	ClientIP bool
}

// Mirror sends copies of requests to another pool.
type Mirror struct {
	// Pool takes the copies.
	Pool string
	// Percent is the share of requests that are copied, 0 to 100.
	Percent float64
	// MaxBodyBytes is the largest request body that is copied.
	MaxBodyBytes int
}

// Edit changes header fields: first Remove, then Set, which replaces all fields of its name.
type Edit struct {
	// Set gives fields a value.
	Set map[string]string
	// Remove drops fields.
	Remove []string
}

// Route is a Rule made ready for use.
type Route struct {
	Rule
	// RequestEdit is Rule.RequestHeaders made ready.
	RequestEdit HeaderEdit
	// ResponseEdit is Rule.ResponseHeaders made ready.
	ResponseEdit HeaderEdit

	split  split
	prefix string // Rule.Path without its trailing slash
	mirror uint64 // of 2^64 random values, the first so many are mirrored
}
