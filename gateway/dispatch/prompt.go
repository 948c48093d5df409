package dispatch

import (
	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/gateway/openai"
)

// WantsPrompt reports whether the pool's policy looks at prompts, so that Exchange.Prompt is worth being set between Match and Admit. A
// request whose prompt is not known is balanced all the same.
func (p *Pool) WantsPrompt() bool { return p.settings.Load().readsPrompts }

// Answered notes that the first byte of the body of the endpoint's response came at a time, on Now's scale, which says that the endpoint
// has read the prompt: its tokens count no longer on the endpoint. The response's head does not say so, as model servers send that of a
// stream before they begin. Retry and Finish take the tokens back of requests that never had an answer; further calls do nothing. As with
// FirstByte, no other method of x may be called at the same time.
func (x *Exchange) Answered(at int64) {
	a := &x.admission
	if x.Endpoint != nil && a.firstToken == 0 {
		a.firstToken = at
		x.Pool.balancer.Answered(&a.waiter.Request)
	}
}

// tellPrompt hands the prompt to the pool's policy. A client's own word on which prompts have much in common counts before what these
// begin with.
func (a *admission) tellPrompt(p *openai.Prompt) {
	r := &a.waiter.Request
	r.Tokens, r.KeyCount = p.Tokens, p.KeyCount
	r.System, r.SystemTokens = p.System, p.SystemTokens
	copy(r.Keys[:], p.Keys[:])
	if p.CacheKey != 0 {
		r.Keys[0], r.KeyCount = p.CacheKey, max(p.KeyCount, 1)
	}
}

// adapter is the hash of the model's name that the endpoint will see, where that is known: model servers call LoRA adapters by it.
func (x *Exchange) adapter() uint64 {
	switch {
	case x.Target != nil && x.Target.Model != "":
		return balancer.AdapterHash([]byte(x.Target.Model))
	case x.Request.ModelKnown && len(x.Request.Model) > 0:
		return balancer.AdapterHash(x.Request.Model)
	}
	return 0
}
