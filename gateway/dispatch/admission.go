package dispatch

type admission struct{ left bool }

// Reset makes x ready for the next request.
func (x *Exchange) Reset(d *Dispatcher) {}

// Admit picks an endpoint.
func (x *Exchange) Admit() *Reply { return nil }

// AdmitNow picks an endpoint without queueing, for mirror copies.
func (x *Exchange) AdmitNow() bool { return false }

// Cancel says that the client left.
func (x *Exchange) Cancel() {}

// UseMirror makes x ready for a copy of a request that is sent to p.
func (x *Exchange) UseMirror(d *Dispatcher, p *Pool) {}

// Retry ends an attempt that failed as o.
func (x *Exchange) Retry(o Outcome, mayRetry bool) *Reply { return nil }

// FirstByte notes that the response's head arrived.
func (x *Exchange) FirstByte() {}

// Finish ends the exchange.
func (x *Exchange) Finish(o Outcome) {}
