package http2

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"

	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/field"
)

var _ bridge.Endpoint = (*Upstream)(nil)

// carriage is one request whose client is not this engine's: a stream of an endpoint's connection between two goroutines.
type carriage struct {
	mu       sync.Mutex
	u        *upstreamConn // nil once it is over
	id       uint32
	mark     int64
	toHEAD   bool
	up, down lane
	heads    []responseHead // that were not relayed yet
	final    bool           // the final head has come
	relayed  bool           // the client has the whole response
	result   bridge.Result  // set once it is broken
}

// maxInterims is how many interim responses are kept for a client that does not take them yet.
const maxInterims = 8

// responseHead is a head that has come of a response.
type responseHead struct {
	status int
	fields []bridge.Field
	length int64
}

// Carry sends a request over HTTP/2. See bridge.Endpoint.
func (up *Upstream) Carry(ctx context.Context, r *bridge.Request, client bridge.Client) bridge.Result {
	if !up.srv.hold() {
		return bridge.Result{Outcome: dispatch.ConnectFailed, Unbegun: true, Err: errClosed}
	}
	defer up.srv.running.Done()
	c := &carriage{toHEAD: r.Method == "HEAD"}
	if res, ok := c.open(ctx, up, r); !ok {
		return res
	}
	stop := context.AfterFunc(ctx, func() { c.abort(dispatch.ClientGone, ctx.Err()) })
	uploaded := make(chan struct{})
	if r.Length == 0 {
		close(uploaded)
	} else {
		go func() {
			defer close(uploaded)
			c.upload(client)
		}()
	}
	err := c.relay(client)
	if err != nil {
		c.abort(dispatch.ClientGone, err)
	}
	client.StopReading()
	c.abandon()
	<-uploaded
	stop()
	return c.end()
}

// open opens a stream and sends the request's head.
func (c *carriage) open(ctx context.Context, up *Upstream, r *bridge.Request) (res bridge.Result, ok bool) {
	for {
		u, err := up.wait(ctx)
		if ctx.Err() != nil {
			if err == nil {
				up.release(u)
			}
			return bridge.Result{Outcome: dispatch.ClientGone, Err: ctx.Err()}, false
		}
		if err != nil {
			return bridge.Result{Outcome: dialOutcome(err), Unbegun: true, Err: err}, false
		}
		if c.send(u, r) {
			return res, true
		}
	}
}

func (c *carriage) send(u *upstreamConn, r *bridge.Request) bool {
	b := getBatch()
	defer b.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	u.mu.Lock()
	if !u.mayOpen() {
		u.mu.Unlock()
		u.up.release(u)
		return false
	}
	id := u.open(c)
	mark := u.beginBlock()
	c.mark = u.attempted + int64(mark)
	writeBridged(u, r)
	u.endBlock(b, mark, id, r.Length == 0)
	window := u.firstWindow
	u.mu.Unlock()
	c.u, c.id = u, id
	c.up.own(&c.mu, c)
	c.down.own(&c.mu, c)
	c.up.reset()
	c.down.reset()
	if r.Length == 0 {
		c.up.ended, c.up.done = true, true
	}
	c.up.wake, c.down.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	c.up.to, c.up.toID, c.up.window = &u.conn, id, window
	c.down.from, c.down.fromID = &u.conn, id
	return true
}

// writeBridged writes a request's head. The lock of u is held.
func writeBridged(u *upstreamConn, r *bridge.Request) {
	u.field(":method", r.Method)
	u.field(":scheme", u.scheme)
	u.field(":path", r.Path)
	authority := r.Authority
	if authority == "" {
		authority = u.up.config.Address
	}
	u.field(":authority", authority)
	for i := range r.Fields {
		f := hpack.HeaderField(r.Fields[i])
		u.copy(&f)
	}
	if r.Length > 0 {
		u.secret("content-length", strconv.FormatInt(r.Length, 10))
	}
	if r.TakesTrailers {
		u.field("te", "trailers")
	}
	if r.ExpectContinue {
		u.field("expect", "100-continue")
	}
}

// upload sends the request's body.
func (c *carriage) upload(client bridge.Client) {
	buf := getReadBuffer()
	defer buf.release()
	for {
		n, err := client.Read(buf.b)
		if n > 0 && c.up.write(buf.b[:n]) != nil {
			return
		}
		switch err {
		case nil:
		case io.EOF:
			var trailers []hpack.HeaderField
			for _, f := range client.Trailers() {
				trailers = append(trailers, hpack.HeaderField(f))
			}
			c.up.end(trailers)
			return
		default:
			c.abort(dispatch.ClientGone, err) // half a request must never look complete; nothing happens if the response is over
			return
		}
	}
}

// relay hands the response to the client. An error is the client's; a failure of the endpoint is in c.result.
func (c *carriage) relay(client bridge.Client) error {
	for {
		h, ok := c.nextHead()
		switch {
		case !ok:
			return nil
		case h.status < 200:
			if err := client.Interim(h.status, h.fields); err != nil {
				return err
			}
			continue
		}
		noBody := c.toHEAD || h.status == 204 || h.status == 304
		if err := client.Head(&bridge.Response{Status: h.status, Fields: h.fields, Length: h.length, NoBody: noBody}); err != nil {
			return err
		}
		return c.relayBody(client, h.length, noBody)
	}
}

// nextHead waits for a head. There is none if the endpoint has failed.
func (c *carriage) nextHead() (h responseHead, ok bool) {
	for {
		c.mu.Lock()
		if len(c.heads) > 0 {
			h = c.heads[0]
			c.heads = c.heads[1:]
			c.mu.Unlock()
			return h, true
		}
		broken := c.down.broken != nil
		c.mu.Unlock()
		if broken {
			return h, false
		}
		<-c.down.wake
	}
}

func (c *carriage) relayBody(client bridge.Client, length int64, noBody bool) error {
	buf := getReadBuffer()
	defer buf.release()
	total := int64(0)
	for {
		n, err := c.down.read(buf.b)
		total += int64(n)
		wrong := noBody && total > 0 || !noBody && length >= 0 && (total > length || err == io.EOF && total < length)
		if wrong {
			c.abort(dispatch.UpstreamBroken, errors.New("the endpoint's response is not as long as its content-length says"))
			return nil
		}
		if n > 0 {
			if err := client.Write(buf.b[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return c.relayEnd(client)
		}
		if err != nil {
			return nil
		}
	}
}

func (c *carriage) relayEnd(client bridge.Client) error {
	c.mu.Lock()
	var trailers []bridge.Field
	for _, f := range c.down.trailers {
		if field.MayTrail(bytesOf(f.Name)) {
			trailers = append(trailers, bridge.Field(f))
		}
	}
	c.mu.Unlock()
	if err := client.End(trailers); err != nil {
		return err
	}
	c.mu.Lock()
	c.relayed = true
	c.mu.Unlock()
	return nil
}

// abandon ends the upload of a request whose response is over.
func (c *carriage) abandon() {
	b := getBatch()
	defer b.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.up.done {
		c.up.abandon(b, errAbandoned)
		if c.u != nil {
			c.u.sendReset(b, c.id, errCancel)
			c.disconnect(b)
		}
	}
}

// end says how the call ended.
func (c *carriage) end() bridge.Result {
	b := getBatch()
	defer b.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disconnect(b)
	c.down.abandon(b, errAbandoned)
	return c.result
}

// abort ends the call as o, unless it is over.
func (c *carriage) abort(o dispatch.Outcome, err error) {
	b := getBatch()
	defer b.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.relayed {
		return
	}
	if c.u != nil && !(c.down.ended && c.up.done) {
		c.u.sendReset(b, c.id, errCancel)
	}
	c.breakOff(b, bridge.Result{Outcome: o, Err: err})
}

func (c *carriage) breakOff(b *batch, r bridge.Result) {
	c.disconnect(b)
	if c.result == (bridge.Result{}) {
		c.result = r
	}
	c.up.abandon(b, errAbandoned)
	c.down.abandon(b, errAbandoned)
}

func (c *carriage) disconnect(b *batch) {
	if c.u != nil {
		c.u.remove(b, c.id)
		c.down.orphan(b)
		c.up.leaveQueue()
		c.u, c.up.to = nil, nil
	}
}

func (c *carriage) on(u *upstreamConn, id uint32) bool { return c.u == u && c.id == id }

// response takes a header block.
func (c *carriage) response(b *batch, u *upstreamConn, id uint32, fields []hpack.HeaderField, end, tooLarge bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on(u, id) {
		return
	}
	if c.final {
		if !end || tooLarge || !validTrailers(fields) {
			c.broken(b, "its trailers are malformed")
			return
		}
		c.down.trailers = append(c.down.trailers[:0], fields...)
		c.down.ended = true
		c.down.notify()
		return
	}
	status, ok := readStatus(fields)
	if !ok || tooLarge || status == 101 || status < 200 && end {
		c.broken(b, "its response's head is malformed")
		return
	}
	if c.final = status >= 200; !c.final && len(c.heads) >= maxInterims {
		return // the client takes its time; interim responses are no more than hints
	}
	h := responseHead{status: status, length: -1}
	for i := range fields[1:] {
		switch f := &fields[1+i]; {
		case isConnectionField(f.Name):
		case f.Name == "content-length":
			n, err := strconv.ParseUint(f.Value, 10, 63)
			if err != nil || h.length >= 0 {
				c.broken(b, "its content-length is malformed")
				return
			}
			h.length = int64(n)
		default:
			h.fields = append(h.fields, bridge.Field(*f))
		}
	}
	c.heads = append(c.heads, h)
	c.down.ended = end
	c.down.notify()
}

func (c *carriage) broken(b *batch, why string) {
	c.u.sendReset(b, c.id, errProtocol)
	c.breakOff(b, bridge.Result{Outcome: dispatch.UpstreamBroken, Err: errors.New("the endpoint breaks HTTP/2: " + why)})
}

// responseData takes DATA.
func (c *carriage) responseData(b *batch, u *upstreamConn, id uint32, p []byte, size int, end bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on(u, id) {
		return false
	}
	if !c.final || c.down.ended || !c.down.take(b, p, size, 0, end) {
		u.refuseData(b, size)
		c.broken(b, "DATA came before the head, after the end, or beyond the window")
	}
	return true
}

// endpointReset takes RST_STREAM.
func (c *carriage) endpointReset(b *batch, u *upstreamConn, id uint32, code errCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on(u, id) {
		return
	}
	if c.down.ended { // the response is whole; only the rest of the request is not wanted
		c.disconnect(b)
		c.up.abandon(b, errAbandoned)
		return
	}
	r := bridge.Result{Outcome: dispatch.UpstreamReset, Err: connErrorf(code, "the endpoint reset the stream")}
	switch {
	case code == errRefused && !c.final:
		r.Outcome, r.Unbegun = dispatch.StreamRefused, true
	case c.final:
		r.Outcome = dispatch.UpstreamBroken
	}
	c.breakOff(b, r)
}

// lost is called when the endpoint does not answer any more.
func (c *carriage) lost(b *batch, u *upstreamConn, id uint32, o dispatch.Outcome, unbegun bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on(u, id) {
		return
	}
	if c.down.ended {
		c.disconnect(b)
		c.up.abandon(b, errAbandoned)
		return
	}
	if c.final {
		o, unbegun = dispatch.UpstreamBroken, false
	}
	c.breakOff(b, bridge.Result{Outcome: o, Unbegun: unbegun, Err: err})
}

// widenUp adds to what the endpoint takes of the request.
func (c *carriage) widenUp(b *batch, u *upstreamConn, id uint32, n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.on(u, id) || c.up.grow(b, n)
}

// begunAt is where in the connection's output the stream's head began.
func (c *carriage) begunAt(u *upstreamConn, id uint32) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on(u, id) {
		return 0
	}
	return c.mark
}

// laneDone is called when a direction has delivered its end; both goroutines see that for themselves.
func (c *carriage) laneDone(*batch, *lane) {}

// sendTrailers ends the request with its trailers.
func (c *carriage) sendTrailers(b *batch, l *lane) {
	l.to.mu.Lock()
	defer l.to.mu.Unlock()
	if !l.to.dead {
		l.to.trailers(b, l, false)
	}
}
