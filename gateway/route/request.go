package route

// Request is what rules match on. Its slices alias the caller's buffers and are only read while a call lasts; matching keeps
// none of them.
type Request struct {
	// Method is the HTTP method, as sent.
	Method []byte
	// Host is the Host field or the :authority, in any case, with or without a port.
	Host []byte
	// Path is the request target in origin form, query included, as sent.
	Path []byte
	// Header gives the request's header fields; nil is a request without any.
	Header HeaderSource
	// Model is the model's name, unescaped. It is read only where ModelKnown is set.
	Model []byte
	// ModelKnown says that the body was searched for a model; with an empty Model the request names none.
	ModelKnown bool
	// GRPCService and GRPCMethod are the two segments of a gRPC call's path, such as inference.GRPCInferenceService and
	// ModelInfer. They are empty for requests that are not gRPC.
	GRPCService, GRPCMethod []byte
}

// HeaderSource looks up header fields in a request's head. Names are given in lower case and compared case-insensitively;
// values come without surrounding whitespace and alias the head. Neither method may allocate.
type HeaderSource interface {
	// Lookup returns the value of the first field with that name.
	Lookup(name string) (value []byte, ok bool)
	// Next returns the value of the first field with that name at position from or after it, and the position at which to go on.
	// Positions are the source's own, but for 0, which is the beginning.
	Next(name string, from int) (value []byte, next int, ok bool)
}
