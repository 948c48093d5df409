package mock

import (
	"net/http"
	"strconv"
)

// answer writes the body of one API's answers. The append methods add to b and return it.
type answer interface {
	// appendOpen adds the events that come before the first token.
	appendOpen(b []byte) []byte
	// appendToken adds a token's event.
	appendToken(b []byte, text []byte, last bool) []byte
	// appendClose adds the events that come after the last token.
	appendClose(b []byte, text []byte, u usage) []byte
	// whole is the body of an answer that is not streamed.
	whole(text []byte, u usage) []byte
}

// respond answers a call with a generation's tokens as they come, or in one body.
func (c *call) respond(g *generation, a answer, stream bool) {
	defer c.end(g)
	if stream {
		c.stream(g, a)
		return
	}
	c.await(g, 0)
	c.whole(a.whole(g.text, g.usage()))
}

// await waits until there are more than have tokens. It ends the call if none can come any more.
func (c *call) await(g *generation, have int) (tokens int) {
	tokens, err := g.wait(c.ctx, have)
	switch {
	case err == errReplicaDied:
		c.lose()
	case err != nil:
		panic(c.leave())
	}
	return tokens
}

// gone ends a call whose client cannot be written to.
func (c *call) gone() {
	c.abandon()
	panic(http.ErrAbortHandler)
}

// lose ends a call whose generation was lost with the replica's life.
func (c *call) lose() {
	c.outcome = failed
	panic(http.ErrAbortHandler)
}

// stream sends a server-sent event for each token as soon as there is one. The head goes out before the first token, as a model
// server sends it when it takes the request.
func (c *call) stream(g *generation, a answer) {
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	c.w.WriteHeader(http.StatusOK)
	c.send(nil)
	var b []byte
	for sent := 0; sent < g.want; {
		have := c.await(g, sent)
		if sent == 0 {
			b = c.send(a.appendOpen(b))
		}
		for ; sent < have; sent++ {
			c.within(sent)
			text := g.text[sent*tokenBytes : (sent+1)*tokenBytes]
			b = c.send(a.appendToken(b, text, sent+1 == g.want))
		}
	}
	c.within(g.want)
	c.send(a.appendClose(b, g.text, g.usage()))
}

// send writes a chunk at once and returns its buffer, empty.
func (c *call) send(b []byte) []byte {
	_, err := c.w.Write(b)
	if err == nil {
		err = http.NewResponseController(c.w).Flush()
	}
	if err != nil {
		c.gone()
	}
	return b[:0]
}

// whole sends a JSON body, in two halves where a fault comes between them.
func (c *call) whole(body []byte) {
	if !c.interrupted() {
		writeJSON(c.w, http.StatusOK, body)
		return
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(http.StatusOK)
	c.send(body[:len(body)/2])
	c.halfway()
	c.send(body[len(body)/2:])
}
