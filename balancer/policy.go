package balancer

import (
	"fmt"
	"slices"
	"strings"
)

// Done says how a request went on its endpoint.
type Done struct {
	// Started is when the request was sent to the endpoint, Now when it finished, in monotonic ns.
	Now, Started int64
	// FirstByte is when the response's first byte came, in monotonic ns; 0 if none did.
	FirstByte int64
	// FirstToken is when the first byte of the response's body came, in monotonic ns; 0 if none did. Of a stream that is its first token.
	FirstToken int64
	// Told says that the response told how many tokens the prompt had, PromptTokens; CachedTokens of these were in the prefix cache.
	// OutputTokens is the answer's length.
	Told                                     bool
	PromptTokens, CachedTokens, OutputTokens int64
	// Streamed says that the response came token by token, so that FirstToken is the time of the first one and not of all.
	Streamed bool
	// Busy says that the endpoint turned the request away as it has enough to do.
	Busy bool
	// Failed says that the endpoint failed the request: no connection, a reset, a broken or late response. A client's fault or
	// departure is no failure, nor is back-pressure (429, 503).
	Failed bool
}

// Policy chooses endpoints. All its methods may be called from any goroutine, at the same time.
type Policy interface {
	// Pick chooses an endpoint of s for r. It counts nothing: the Balancer does. It returns nil if, and only if, it found no
	// endpoint with room: the queue's promise that no request waits beside free room rests on this. Endpoints in r.Tried are
	// chosen only if no other has room. A policy that knows better than r.Tokens what the endpoint has yet to compute sets r.Owed.
	Pick(s *Snapshot, r *Request) *Endpoint
	// Done tells how a request went on e, which may have left the snapshot. It comes before e's counts go down.
	Done(e *Endpoint, r *Request, d Done)
}

// Settings are what a policy is told of its pool.
type Settings struct {
	// Objectives are those of auto; what is 0 is as in DefaultObjectives.
	Objectives Objectives
}

var policies = map[string]func(s Settings) Policy{
	"auto":              func(s Settings) Policy { return newAuto(s.Objectives) },
	"least-outstanding": func(Settings) Policy { return leastOutstanding{} },
	"power-of-two":      func(Settings) Policy { return powerOfTwo{} },
	"round-robin":       func(Settings) Policy { return &roundRobin{} },
	"random":            func(Settings) Policy { return random{} },
	"peak-ewma":         func(Settings) Policy { return peakEWMA{} },
	"session":           func(Settings) Policy { return session{} },
	"least-tokens":      func(Settings) Policy { return leastTokens{} },
	"prefix":            func(Settings) Policy { return prefix{} },
}

// ReadsPrompts reports whether the policy of that name looks at Request.Tokens or Request.Keys, so that it is worth finding them out.
func ReadsPrompts(name string) bool {
	return name == "auto" || name == "least-tokens" || name == "prefix"
}

// NewPolicy returns a new policy of that name, for one Balancer. The names are those of PolicyNames; any other is an error.
func NewPolicy(name string, s Settings) (Policy, error) {
	newPolicy, ok := policies[name]
	if !ok {
		return nil, fmt.Errorf("unknown policy %q: use one of %s", name, strings.Join(PolicyNames(), ", "))
	}
	return newPolicy(s), nil
}

// PolicyNames returns the names that NewPolicy knows, sorted.
func PolicyNames() []string {
	names := make([]string, 0, len(policies))
	for name := range policies {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
