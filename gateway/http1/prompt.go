package http1

import (
	"github.com/penstock/penstock/gateway/field"
	"github.com/penstock/penstock/gateway/openai"
)

// promptBytes is how much of a body is waited for, while the pool's policy wants to know more of its prompt, in bytes.
const promptBytes = 256 << 10

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
	body, final := c.payload(), q.complete
	if final {
		sc.prompt.Finish(body)
	} else {
		final = sc.prompt.Scan(body)
	}
	x.Prompt = sc.prompt.Prompt(q.length)
	limit := min(promptBytes, c.opts.Limits.HeldBodyBytes)
	if !final && x.Prompt.KeyCount < openai.PromptKeys && c.in.len()-q.headLen < limit {
		return c.holdMore(len(body))
	}
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
