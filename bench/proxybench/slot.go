package main

// slot is a place for one request at a time: an HTTP/1.1 connection has one, and an HTTP/2 connection has several.
type slot struct {
	conn      conn
	scheduled int64 // when its request was sent, or should have been
	waiting   bool  // for an answer
}

// conn is the generator's end of one connection.
type conn interface {
	// send sends the next request of one of the connection's slots, which has none.
	send(*slot)
	// receive takes what has come until the time at, and returns the slots that have their whole answer. They are valid until the next call.
	receive(at int64) []*slot
	// fail notes an error and gives the connection up.
	fail(error)
	// close closes the connection, if it is still open.
	close()
}
