package mock

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/bench/engine"
)

// replica runs an engine in real time: one goroutine sleeps until the engine's next step and hands tokens to whoever waits for
// them.
type replica struct {
	config  engine.Config
	speed   float64
	started time.Time
	wake    chan struct{} // an idle engine got work
	quit    chan struct{}
	done    chan struct{}

	mu     sync.Mutex
	engine *engine.Engine
	live   map[uint64]*generation // submitted and not ended
	lastID uint64
}

// generation is one request in a replica, in the hands of the goroutine that answers it.
type generation struct {
	id     uint64
	want   int
	each   bool          // wake the waiter for every token, not for the last only
	more   chan struct{} // holds one wake-up
	tokens atomic.Int64
	cached atomic.Int64
	lost   atomic.Bool

	prompt int    // tokens of the prompt
	text   []byte // the answer, tokenBytes a token
}

// errReplicaDied ends generations whose replica was restarted.
var errReplicaDied = errors.New("the replica died")

func newReplica(config engine.Config, speed float64) (*replica, error) {
	e, err := engine.New(config)
	if err != nil {
		return nil, err
	}
	r := &replica{
		config: config, speed: speed, started: time.Now(), engine: e, live: make(map[uint64]*generation),
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go r.loop()
	return r, nil
}

// stop ends the goroutine. Generations that have not ended are lost.
func (r *replica) stop() {
	close(r.quit)
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loseAll()
}

// restart makes the replica a new process: every generation is lost and caches and counters are empty.
func (r *replica) restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loseAll()
	e, err := engine.New(r.config)
	if err != nil {
		panic("BUG: an engine's configuration was valid once: " + err.Error())
	}
	r.engine = e
}

func (r *replica) loseAll() {
	for id, g := range r.live {
		g.lost.Store(true)
		g.wakeUp()
		delete(r.live, id)
	}
}

// now is the engine's time: nanoseconds since the start, scaled.
func (r *replica) now() int64 { return int64(float64(time.Since(r.started)) * r.speed) }

// submit hands the engine a request, whose ID it assigns. With each, every token wakes the waiter. The error is
// *engine.TooLongError if the request can never run.
func (r *replica) submit(request engine.Request, each bool) (*generation, error) {
	return r.submitTo(request, each, make(chan struct{}, 1))
}

// submitTo is submit with the channel for wake-ups, of which it must hold one; generations may share it.
func (r *replica) submitTo(request engine.Request, each bool, more chan struct{}) (*generation, error) {
	g := &generation{want: request.MaxTokens, each: each, more: more}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastID++
	g.id, request.ID = r.lastID, r.lastID
	before := r.engine.Next()
	if err := r.engine.Submit(r.now(), request); err != nil {
		return nil, err
	}
	r.live[g.id] = g
	if r.engine.Next() < before {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	return g, nil
}

// end cancels a generation that has not ended, which frees its blocks at once, and reports whether there was anything to cancel.
func (r *replica) end(g *generation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[g.id] != g {
		return false
	}
	delete(r.live, g.id)
	return r.engine.Cancel(g.id)
}

func (r *replica) stats() engine.Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.engine.Stats()
}

func (r *replica) loop() {
	defer close(r.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.quit:
			return
		case <-r.wake:
		case <-timer.C:
		}
		if wait := r.advance(); wait >= 0 {
			timer.Reset(wait)
		}
	}
}

// advance runs the engine up to now and returns how long until its next step; negative if none will come.
func (r *replica) advance() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, events := r.engine.Step(r.now())
	for i := range events {
		r.deliver(&events[i])
	}
	if next == engine.Never {
		return -1
	}
	// Rounded up, or the timer would fire just before the step ends.
	return max(0, time.Duration(math.Ceil(float64(next-r.now())/r.speed)))
}

func (r *replica) deliver(ev *engine.Event) {
	g := r.live[ev.ID]
	if ev.First {
		g.cached.Store(int64(ev.CachedTokens))
	}
	g.tokens.Store(int64(ev.Tokens))
	if ev.Last {
		delete(r.live, ev.ID)
	}
	if g.each || ev.Last {
		g.wakeUp()
	}
}

func (g *generation) wakeUp() {
	select {
	case g.more <- struct{}{}:
	default:
	}
}

// wait returns the generation's tokens once there are more than have (all of them, for a generation that is not woken for each).
// It fails with errReplicaDied, or with the context's error.
func (g *generation) wait(ctx context.Context, have int) (int, error) {
	for {
		if n := int(g.tokens.Load()); n > have && (g.each || n == g.want) {
			return n, nil
		}
		if g.lost.Load() {
			return 0, errReplicaDied
		}
		select {
		case <-g.more:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
