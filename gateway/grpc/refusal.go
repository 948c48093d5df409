package grpc

// CodeOf returns what a refusal of the gateway is in gRPC: status is the HTTP status that it has elsewhere, and reason its machine-readable
// code, as package dispatch lists them. Retry policies of clients commonly name UNAVAILABLE and nothing else, so that is what a refusal
// becomes if another attempt may well succeed, and nothing else does.
//
//	INVALID_ARGUMENT    400: sent again, the request is refused again
//	UNAUTHENTICATED     401
//	PERMISSION_DENIED   403
//	NOT_FOUND           404 model_not_found: the method exists, what it is to work on does not
//	UNIMPLEMENTED       the other 404, route_not_found: what a server answers for a method that it does not have; 405, 415 and 501
//	DEADLINE_EXCEEDED   504: the request had all the time that its operator grants, and a second one makes the load worse; 408: a client
//	                    that is too slow is so again
//	RESOURCE_EXHAUSTED  429: the queue is full, and a retry at once keeps it so. The RetryInfo in the details says when to come back.
//	                    413, 414 and 431: what is too large, as gRPC's own implementations have it
//	CANCELLED           499: the client left
//	UNAVAILABLE         502 and 503: the connection broke or there is no endpoint, which a client without a gateway sees as UNAVAILABLE
//	INTERNAL            the other statuses from 500 on
//	UNKNOWN             all others
func CodeOf(status int, reason string) Code {
	switch status {
	case 400:
		return InvalidArgument
	case 401:
		return Unauthenticated
	case 403:
		return PermissionDenied
	case 404:
		if reason == "model_not_found" {
			return NotFound
		}
		return Unimplemented
	case 405, 415, 501:
		return Unimplemented
	case 408, 504:
		return DeadlineExceeded
	case 413, 414, 429, 431:
		return ResourceExhausted
	case 499:
		return Cancelled
	case 502, 503:
		return Unavailable
	}
	if status >= 500 {
		return Internal
	}
	return Unknown
}

// FromHTTP returns what a client has to take a response for that has no grpc-status, by its HTTP status: it comes from something
// that does not speak gRPC (doc/http-grpc-status-mapping.md in gRPC's repository). That is no inverse of HTTPStatus, and 200 is UNKNOWN.
func FromHTTP(status int) Code {
	switch status {
	case 400:
		return Internal
	case 401:
		return Unauthenticated
	case 403:
		return PermissionDenied
	case 404:
		return Unimplemented
	case 429, 502, 503, 504:
		return Unavailable
	}
	return Unknown
}
