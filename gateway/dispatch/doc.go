// Package dispatch takes a request from its route to its end, whatever its protocol: route, admission, pick, retries, and the
// release of what was counted. Protocol engines parse and relay; they ask dispatch where a request goes and tell it how the
// request went.
//
// A Dispatcher owns the pools and the routing table, and an Exchange is one request on its way:
//
//	x.Reset(d)                       // x.Started, x.Request and what else is known of the request follow
//	x.BeginTrace()                   // and when they are set, its trace is begun
//	action, reply := x.Match()       // where does it go? NeedModel: read the model from the body, and ask again
//	x.Prompt = ...                   // what the body says of its prompt, if x.Pool.WantsPrompt
//	reply = x.Admit()                // capture an endpoint; this may wait in the pool's queue
//	... x.FirstByte() ...            // the endpoint answers
//	... x.Answered(Now()) ...        // it has read the prompt: the first byte of its answer's body has come
//	reply = x.Retry(outcome, again)  // or it does not
//	x.Finish(outcome)
//
// # How it holds together
//
// Match, Admit and Finish take no lock that requests share and allocate nothing, unless a request has to wait, is refused or fails. A
// request that waits has no timer of its own: its pool has one, for the earliest deadline.
//
// Configuration is one pointer, swapped by Dispatcher.Apply; an exchange keeps the table that it was matched by. Pools live across
// reloads under their name, endpoints under their address. What is removed drains: it takes no new requests, those in flight
// finish, and its connections are closed with the last of them.
//
// Endpoints that failed requests in a row are ejected, and so leave the pick for a time, but never the last one, unless nobody lists it
// any more. Failures are connections that cannot be made or break, answers that are malformed or truncated, and timeouts. An answer of
// any status is none: a client's error is the client's, and 429 or 503 say that the endpoint has enough to do. A client that leaves is nobody's fault.
//
// # Refusals
//
// The gateway refuses a request in these cases. Each answer is JSON in OpenAI's error shape, whose code says which it is. The codes
// are stable.
//
//	status  code                 when
//	400     model_required       a route may take the request if it names a model, and it names none
//	400     path_not_normalized  the path has a dot segment or an encoded slash, and routes go by path
//	404     model_not_found      no route takes the model that the request names
//	404     route_not_found      no route takes the request
//	429     queue_full           saturated: the pool's endpoints are all busy, and its queue is full or of size 0
//	503     no_endpoint          the pool has no ready endpoint, and none came while the request waited; at once if the queue is full or of
//	                             size 0, or the pool is being removed
//	504     queue_timeout        saturated: the pool's endpoints stayed busy while the request waited
//	502     connect_failed       no connection to the endpoint could be made
//	502     upstream_reset       the endpoint closed the connection before it answered
//	502     upstream_broken      the endpoint's answer was malformed or broke off before any of it was sent on
//	504     upstream_timeout     the endpoint did not answer in time
//	504     deadline_exceeded    the deadline that the request came with passed
//	503     stream_refused       the endpoint refused the request before it began it, and it could not be sent to another one
//	499     client_left          never sent: the client left first; what the access log has
//
// 429 and 503, and the 504 of the queue, carry Retry-After: the pool's queue timeout, which is the time in which its operator expects a
// place to come free, but at least 1 s and at most 30 s; 1 s if the pool is being removed.
package dispatch
