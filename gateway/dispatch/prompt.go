package dispatch

import "github.com/penstock/penstock/gateway/openai"

// WantsPrompt reports whether the pool's policy looks at prompts, so that Exchange.Prompt is worth being set between Match and Admit. A
// request whose prompt is not known is balanced all the same.
func (p *Pool) WantsPrompt() bool { return p.settings.Load().readsPrompts }

// Answered notes that the first byte of the body of the endpoint's response has come, which says that the endpoint has read the prompt: its
// tokens count no longer on the endpoint. The response's head does not say so, as model servers send that of a stream before they
// begin. Retry and Finish do the same for requests that never had an answer; further calls do nothing. As with FirstByte, no other method
// of x may be called at the same time.
func (x *Exchange) Answered() {
	if x.Endpoint != nil {
		x.Pool.balancer.Answered(&x.admission.waiter.Request)
	}
}

// tellPrompt hands the prompt to the pool's policy. A client's own word on which prompts have much in common counts before what these
// begin with.
func (a *admission) tellPrompt(p *openai.Prompt) {
	r := &a.waiter.Request
	r.Tokens, r.KeyCount = p.Tokens, p.KeyCount
	copy(r.Keys[:], p.Keys[:])
	if p.CacheKey != 0 {
		r.Keys[0], r.KeyCount = p.CacheKey, max(p.KeyCount, 1)
	}
}
