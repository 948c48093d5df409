package http1

import (
	"github.com/penstock/penstock/gateway/field"
	"github.com/penstock/penstock/gateway/openai"
)

// promptBytes is how much of a body is read for its prompt, and so waited for where the pool's policy wants to know that, in bytes. What is
// mixed into a prompt's keys may come last (see openai.PromptScan), so it is all of a body or, the same for each request of a conversation,
// so much.
const promptBytes = openai.PromptBodyBytes

// readPrompt reads the prompt, as far as it has come, where the pool's policy wants to know it. It says goOn once that is done, or there is
// nothing to read.
func (c *clientConn) readPrompt() verdict {
	q, x, sc := &c.req, &c.x, c.sc
	if !q.wantPrompt {
		if !x.Pool.WantsPrompt() || !c.beginPrompt() {
			q.prompted = true
			return goOn
		}
		q.wantPrompt = true
	}
	body, limit := c.payload(), min(promptBytes, c.opts.Limits.HeldBodyBytes)
	switch {
	case q.complete && len(body) <= limit:
		sc.prompt.Finish(body)
	case !sc.prompt.Scan(body[:min(len(body), limit)]) && len(body) < limit && c.in.len()-q.headLen < 2*limit: // framing counts, too
		return c.holdMore(len(body))
	}
	x.Prompt = sc.prompt.Prompt(q.length)
	q.prompted = true
	return goOn
}

// beginPrompt reports whether the request can have a prompt.
func (c *clientConn) beginPrompt() bool {
	q, sc := &c.req, c.sc
	_, encoded := sc.req.Get(field.ContentEncoding)
	if encoded || q.upgrade || q.length == 0 || string(sc.req.Method) != "POST" || !sc.prompt.Reset(sc.req.Path) {
		return false
	}
	if q.length < 0 && !q.wantModel {
		// Of a chunked body, the payload is kept only from now on.
		var s ChunkScanner
		_, plain, _, err := s.AppendPayload(sc.plain[:0], c.in.bytes()[q.headLen:][:q.scanned])
		if err != nil {
			panic("BUG: chunks that were sound are malformed: " + err.Error())
		}
		sc.plain = plain
	}
	return true
}
