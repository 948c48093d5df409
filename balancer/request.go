package balancer

// Request is what a pick may look at. It is passed by pointer and reused by the caller, who keeps it, unchanged, until what was acquired
// with it is released.
type Request struct {
	// Now is the time of the pick in monotonic ns. While a request is queued the Balancer moves it forward.
	Now int64
	// Rand is a random number, fresh for every pick. The Balancer replaces it when it must pick again.
	Rand uint64
	// Session is a hash of what identifies the request's session, such as HashString of a header. It counts only if
	// SessionSet.
	Session    uint64
	SessionSet bool
	// Tried lists the endpoints on which this request already failed, a few at most. They are avoided unless no other endpoint
	// has room.
	Tried []*Endpoint
	// Tokens is an estimate of the prompt's tokens; 0 where it is not known. They count as held on the endpoint that is acquired until
	// Release.
	Tokens int64
	// Owed is how many of them the endpoint has to compute. They count on it until Answered or Release. The Balancer sets it to Tokens
	// before each pick; policies that know what is cached lower it.
	Owed int64
	// System is a hash of what comes before the conversation (system prompt, tools), which has SystemTokens tokens; 0 is none. What many
	// conversations share is in every cache before long, so it says nothing on where to go, but saves all of them its tokens.
	System       uint64
	SystemTokens int64
	// Adapter is a hash of the name of the LoRA adapter that the request wants, AdapterHash's; 0 if it wants none or that is not known.
	Adapter uint64
	// Keys are hashes of the prompt's beginning behind that, KeyCount of them: requests with the same key can use the same cached prefix.
	// Key i takes in System and the next KeyTokens[i] tokens. The first is long enough to tell conversations apart.
	Keys     [PrefixKeys]uint64
	KeyCount int

	// charged is what the request owes, held what it holds, and chargedTo where. They belong to the Balancer while the request is acquired.
	bet           bet // auto's
	charged, held int64
	chargedTo     *Endpoint
}

// PrefixKeys is the most keys of a request.
const PrefixKeys = 16

// KeyTokens is how many tokens of the conversation each key stands for. Each has half as many again as the one before, so that two
// prompts' common beginning is known to a third.
var KeyTokens = [PrefixKeys]int64{
	256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536,
}

// mostTokens is what a prompt counts at most, so that no estimate can make a sum overflow; no model reads a millionth of it.
const mostTokens = 1 << 40

// promptTokens is Tokens without what is senseless.
func (r *Request) promptTokens() int64 { return min(max(r.Tokens, 0), mostTokens) }

// charge counts r's prompt tokens on e: those that are owed until settle, all of them until release.
func (r *Request) charge(e *Endpoint) {
	if r.chargedTo != nil {
		panic("BUG: a request that was not released was acquired again, on endpoint " + e.Name)
	}
	if r.Tokens <= 0 {
		return
	}
	r.chargedTo = e
	r.held = min(r.Tokens, mostTokens)
	r.charged = min(max(r.Owed, 0), r.held)
	e.held.Add(r.held)
	e.tokens.Add(r.charged)
}

// settle takes back what is owed, if it has not been.
func (r *Request) settle() {
	if r.charged != 0 {
		r.chargedTo.tokens.Add(-r.charged)
		r.charged = 0
	}
}

// release takes back all that charge counted.
func (r *Request) release() {
	if e := r.chargedTo; e != nil {
		r.settle()
		e.held.Add(-r.held)
		r.held, r.chargedTo = 0, nil
	}
}

func (r *Request) tried(e *Endpoint) bool { return contains(r.Tried, e) }

func contains(few []*Endpoint, e *Endpoint) bool {
	for _, f := range few {
		if f == e {
			return true
		}
	}
	return false
}
