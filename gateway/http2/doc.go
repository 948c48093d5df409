// Package http2 is the HTTP/2 engine: it serves clients over HTTP/2, gRPC calls among them, and carries requests to endpoints over a few
// multiplexed connections.
//
// Where both sides speak HTTP/2 it relays frames: a header block is decoded and encoded anew, as each connection has a compression table of
// its own, and DATA goes through as it comes, whatever is in it. No message is taken apart or put together, and no schema is needed. Where
// the endpoint speaks HTTP/1.1 a stream is handed over by package bridge.
//
// # Who runs what
//
// Each connection has one goroutine that reads it. It handles the frames that a read brought, appends what follows from them to the
// output of whichever connections they concern, and writes each of these outputs with one system call when it has gone through all
// frames (batch). A goroutine of its own writes only while a peer takes nothing. A stream gets a goroutine only where it has to wait: in
// a pool's queue, for a connection to an endpoint, or for an HTTP/1.1 endpoint.
//
// # Flow control
//
// A sender gets credit back, for its stream and for its connection, only for bytes that went into the output of the connection that they
// are for; and DATA goes there only while that output is short and both windows of the receiver allow it. The rest is held in the stream,
// and is bounded by the window that its sender was given. So a receiver that is slow, or takes nothing, holds up its own streams and nobody
// else's, and costs a bounded amount of memory.
//
// # Locks
//
// A stream has a lock (stream.mu), and so has each connection's output (conn.mu). A stream's lock is taken first; no goroutine holds two of
// a kind. No output is written while a stream's lock is held: writing makes room, and then the streams that wait for it have their turn.
package http2
