package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// tick is how often a snapshot is taken. After an event it is taken sooner, but not within soonest of the last one.
	tick    = time.Second
	soonest = 500 * time.Millisecond
	// watchersMost bounds how many may watch at once.
	watchersMost = 32
	// writeTimeout is how long a watcher may take nothing of what it is sent.
	writeTimeout = 5 * time.Second
)

// Hub sends snapshots to those who watch, as Server-Sent Events:
//
//	history   once, at the beginning: the Points of charts so far
//	events    once, and when there are new ones: Events, the newest last
//	snapshot  every second: a Snapshot
//
// A watcher that is slow misses snapshots and no events, unless there are more than are kept.
type Hub struct {
	events    *Events
	collector collector

	mu       sync.Mutex
	watchers map[*watcher]struct{}
	active   bool   // run is running
	frame    []byte // the last snapshot as it is sent; nil if nobody has watched since
	history  []byte // as it is sent
	closed   bool
	taken    int // snapshots, for tests

	done  chan struct{}
	alone chan struct{} // takes a value when the last watcher has left
	runs  sync.WaitGroup
}

// watcher is one who watches.
type watcher struct {
	wake chan struct{} // takes a value when there is something new
}

// NewHub returns a hub that nobody watches.
func NewHub(source Source, events *Events) *Hub {
	return &Hub{
		events: events, collector: collector{source: source}, watchers: make(map[*watcher]struct{}),
		done: make(chan struct{}), alone: make(chan struct{}, 1),
	}
}

// ServeHTTP sends snapshots until the client leaves, may not watch any more, or the hub closes.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	me, why := h.enter()
	if me == nil {
		header.Set("Retry-After", "5")
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	defer h.leave(me)
	// The server's time to read a request has nothing to do with how long this takes.
	http.NewResponseController(w).SetReadDeadline(time.Time{})
	h.send(w, r, me)
}

// send sends what is new until the client leaves, may not watch any more, or the hub closes.
func (h *Hub) send(w http.ResponseWriter, r *http.Request, me *watcher) {
	ctx, mayWatch := r.Context(), h.collector.source.MayWatch
	control := http.NewResponseController(w)
	var sent *byte // where the last frame that was sent begins
	var number int64
	for {
		select {
		case <-me.wake:
		case <-ctx.Done():
			return
		case <-h.done:
			return
		}
		if mayWatch != nil && !mayWatch(r) {
			return
		}
		frame, history := h.latest()
		if frame == nil {
			continue
		}
		var out bytes.Buffer
		if sent == nil {
			out.Write(history)
		}
		if fresh := h.events.since(number); len(fresh) > 0 {
			number = fresh[len(fresh)-1].Number
			writeEvent(&out, "events", fresh)
		}
		if sent != &frame[0] {
			sent = &frame[0]
			out.Write(frame)
		}
		control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where that cannot be set, as in tests, there is none
		if _, err := w.Write(out.Bytes()); err != nil || control.Flush() != nil {
			return
		}
	}
}

// enter adds a watcher; nil, and why, if there cannot be one more.
func (h *Hub) enter() (*watcher, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, "the gateway is closing"
	case len(h.watchers) >= watchersMost:
		return nil, fmt.Sprintf("%d watch already, which is the most: close a dashboard", watchersMost)
	}
	me := &watcher{wake: make(chan struct{}, 1)}
	h.watchers[me] = struct{}{}
	if h.frame != nil {
		me.wake <- struct{}{}
	}
	if !h.active {
		h.active = true
		h.collector.source.Dispatcher.Look(true) // here, as the run before may not have quite returned
		h.runs.Go(h.run)
	}
	return me, ""
}

func (h *Hub) leave(me *watcher) {
	h.mu.Lock()
	delete(h.watchers, me)
	left := len(h.watchers)
	h.mu.Unlock()
	if left == 0 {
		select {
		case h.alone <- struct{}{}:
		default:
		}
	}
}

// latest is the last snapshot and the history with it, as they are sent.
func (h *Hub) latest() (frame, history []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.frame, h.history
}

// run takes snapshots as long as somebody watches.
func (h *Hub) run() {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	select {
	case <-h.events.added: // before anybody watched
	default:
	}
	for {
		h.take()
		last := time.Now()
		timer.Reset(tick)
		for waiting := true; waiting; {
			select {
			case <-timer.C:
				waiting = false
			case <-h.events.added:
				h.wake() // the events themselves are told at once
				timer.Reset(max(0, soonest-time.Since(last)))
			case <-h.alone:
				if h.rest() {
					return
				}
			case <-h.done:
				return
			}
		}
	}
}

// rest ends the taking of snapshots if nobody watches.
func (h *Hub) rest() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) > 0 {
		return false
	}
	h.active, h.frame, h.history = false, nil, nil
	h.collector.source.Dispatcher.Look(false)
	return true
}

// take takes a snapshot and tells those who watch.
func (h *Hub) take() {
	var frame, history bytes.Buffer
	writeEvent(&frame, "snapshot", h.collector.take(time.Now()))
	writeEvent(&history, "history", h.collector.points)
	h.mu.Lock()
	h.frame, h.history = frame.Bytes(), history.Bytes()
	h.taken++
	h.mu.Unlock()
	h.wake()
}

func (h *Hub) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// writeEvent appends a Server-Sent Event.
func writeEvent(b *bytes.Buffer, name string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		panic("BUG: cannot write a snapshot as JSON: " + err.Error())
	}
	fmt.Fprintf(b, "event: %s\ndata: %s\n\n", name, text)
}

// Close ends all streams. Those that are within a write end with their connection.
func (h *Hub) Close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		h.collector.source.Dispatcher.Look(false)
		close(h.done)
	}
	h.mu.Unlock()
	h.runs.Wait()
}
