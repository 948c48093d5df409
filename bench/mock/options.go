package mock

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/bench/engine"
)

// Options says what a mock replica is. A zero field takes its value from DefaultOptions, but for those whose zero is documented.
type Options struct {
	// Models are the names that the replica serves, all with one engine; requests for others get 404. Metrics carry the first.
	Models []string
	// Profile names the model and GPU that the engine behaves like: see engine.Profiles.
	Profile string
	// Engine names the model server whose metric names /metrics has: see EngineNames.
	Engine string
	// Speed scales time: 2 makes the engine twice as fast.
	Speed float64
	// Seed is the seed of what is random: which requests a share of faults hits.
	Seed uint64
	// Instant answers at once, without engine and faults, so that a mock is never the bottleneck of a measurement.
	Instant bool
	// MaxTokens is how many tokens a request gets that does not say.
	MaxTokens int
	// MaxBodyBytes is the largest request body; beyond it the answer is 413.
	MaxBodyBytes int64
	// LoadTime is how long the model loads after the start, and again after a death: health checks fail, and requests that run a model
	// get 503.
	LoadTime time.Duration
	// Label is the value of the header x-mock-label of every answer, so that versions can be told apart; empty sends none.
	Label string
	// IdleTimeout is how long a connection may stay idle. The default is vLLM's, 5 s; a negative value, and Instant, keep
	// connections for good.
	IdleTimeout time.Duration
	// MaxSequences, MaxBatchedTokens and KVTokens replace the profile's values where they are not 0.
	MaxSequences, MaxBatchedTokens, KVTokens int
	// Log gets what an operator should know; nil drops it.
	Log *slog.Logger
}

// DefaultOptions are the options of a replica that nothing was said about.
var DefaultOptions = Options{
	Models:       []string{"llama-3-8b"},
	Profile:      engine.DefaultProfile,
	Engine:       "vllm",
	Speed:        1,
	MaxTokens:    64,
	MaxBodyBytes: 32 << 20,
	IdleTimeout:  5 * time.Second,
}

// maxSpeed keeps scaled time far from overflowing: 2^63 ns are a month at this speed.
const maxSpeed = 100_000

func (o *Options) fill() {
	d := &DefaultOptions
	if len(o.Models) == 0 {
		o.Models = d.Models
	}
	if o.Profile == "" {
		o.Profile = d.Profile
	}
	if o.Engine == "" {
		o.Engine = d.Engine
	}
	if o.Speed == 0 {
		o.Speed = d.Speed
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = d.MaxTokens
	}
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = d.MaxBodyBytes
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = d.IdleTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Validate says what is wrong with the options, naming the values that exist where there is a choice.
func (o Options) Validate() error {
	o.fill()
	if slices.Contains(o.Models, "") {
		return fmt.Errorf("cannot serve a model without a name")
	}
	if !slices.Contains(EngineNames(), o.Engine) {
		return fmt.Errorf("cannot mimic engine %q: the engines are %s", o.Engine, strings.Join(EngineNames(), ", "))
	}
	if !(o.Speed > 0 && o.Speed <= maxSpeed) {
		return fmt.Errorf("cannot run at speed %v: it must be more than 0 and at most %d", o.Speed, maxSpeed)
	}
	if o.MaxTokens < 1 || o.MaxTokens > math.MaxInt32 {
		return fmt.Errorf("cannot answer with %d tokens by default: it must be at least 1", o.MaxTokens)
	}
	if o.MaxBodyBytes < 1 {
		return fmt.Errorf("cannot limit bodies to %d bytes: it must be at least 1", o.MaxBodyBytes)
	}
	if o.LoadTime < 0 {
		return fmt.Errorf("cannot load a model for %v: it must be at least 0s", o.LoadTime)
	}
	if strings.ContainsFunc(o.Label, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("cannot use the label %q: it must be of visible ASCII characters", o.Label)
	}
	_, err := o.engineConfig()
	return err
}

// engineConfig is the profile with the options' overrides.
func (o *Options) engineConfig() (engine.Config, error) {
	p, err := engine.LookupProfile(o.Profile)
	if err != nil {
		return engine.Config{}, err
	}
	c := engine.Config{Profile: p, EveryToken: true}
	if o.MaxSequences != 0 {
		c.MaxSequences = o.MaxSequences
	}
	if o.MaxBatchedTokens != 0 {
		c.MaxBatchedTokens = o.MaxBatchedTokens
	}
	if o.KVTokens != 0 {
		c.KVTokens = o.KVTokens
	}
	return c, c.Validate()
}
