package live

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// Events are what a gateway logs, but for what is of interest to nobody but its developers. The words of a record say which kind it is, and a test
// looks for them in the code that writes them.

// eventsMost is how many events are kept.
const eventsMost = 200

// Kinds of events.
const (
	KindDrain     = "drain"
	KindEject     = "ejection"
	KindRecover   = "recovery"
	KindHealth    = "health"
	KindScale     = "scaling"
	KindReload    = "reload"
	KindDiscovery = "discovery"
	KindSignals   = "signals" // what endpoints say of their load
	KindLife      = "life"    // of the gateway
	KindOther     = "other"
)

// kinds are the kinds of the messages that are known by their words. Others of level Warn and above are KindOther.
var kinds = map[string]string{
	"endpoints drain":                     KindDrain,
	"pool is removed":                     KindDrain,
	"removed pool has drained":            KindDrain,
	"endpoint is ejected":                 KindEject,
	"endpoint is back after its ejection": KindRecover,
	"endpoint is back before its ejection has ended: too few others are left": KindRecover,
	"endpoint is healthy":                                                        KindHealth,
	"endpoint is unhealthy":                                                      KindHealth,
	"endpoints are added":                                                        KindScale,
	"configuration applied":                                                      KindReload,
	"settings of pools' Services applied":                                        KindReload,
	"cannot apply the configuration: the old one stays in force":                 KindReload,
	"cannot use the settings of a pool's Service: the last ones stay":            KindReload,
	"certificates read again":                                                    KindReload,
	"cannot use changed certificates: the old ones stay in use":                  KindReload,
	"endpoints are discovered":                                                   KindDiscovery,
	"something is wrong with where endpoints are discovered; the last ones stay": KindDiscovery,
	"endpoints are no longer discovered; the last ones stay":                     KindDiscovery,
	"cannot use discovered endpoints: the old ones stay":                         KindDiscovery,
	"endpoint's metrics are read again":                                          KindSignals,
	"cannot read an endpoint's metrics: what was read of it grows old":           KindSignals,
	"serving": KindLife,
	"stopping: readiness is off, connections are still accepted":       KindLife,
	"no more connections are accepted; waiting for requests to finish": KindLife,
	"cutting the requests that did not finish in time":                 KindLife,
	"every request has finished":                                       KindLife,
	"second signal: ending at once, without waiting for requests":      KindLife,
}

// Events keeps the last events.
type Events struct {
	mu    sync.Mutex
	last  []Event // the newest at the end, at most eventsMost
	count int64
	added chan struct{} // takes a value after an event
}

// NewEvents returns a ring without events.
func NewEvents() *Events { return &Events{added: make(chan struct{}, 1)} }

func (r *Events) add(e Event) {
	r.mu.Lock()
	r.count++
	e.Number = r.count
	if len(r.last) == eventsMost {
		copy(r.last, r.last[1:])
		r.last = r.last[:eventsMost-1]
	}
	r.last = append(r.last, e)
	r.mu.Unlock()
	select {
	case r.added <- struct{}{}:
	default:
	}
}

// since returns the events that are kept and have a greater number.
func (r *Events) since(number int64) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := int64(len(r.last))
	from := min(max(number-(r.count-kept), 0), kept)
	return append([]Event{}, r.last[from:]...)
}

// Handler returns a handler that notes what is of interest of what goes to next.
func (r *Events) Handler(next slog.Handler) slog.Handler { return &handler{events: r, next: next} }

// handler notes records as events, whether or not the log has their level.
type handler struct {
	events *Events
	next   slog.Handler
	attrs  []slog.Attr
}

// Enabled reports whether a level goes anywhere.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.next.Enabled(ctx, level)
}

// Handle notes a record and passes it on.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if kind := kindOf(&r); kind != "" {
		h.events.add(h.event(kind, &r))
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func kindOf(r *slog.Record) string {
	switch kind := kinds[r.Message]; {
	case r.Level < slog.LevelInfo:
		return ""
	case kind == "" && r.Level >= slog.LevelWarn:
		return KindOther
	default:
		return kind
	}
}

func (h *handler) event(kind string, r *slog.Record) Event {
	e := Event{Time: r.Time, Kind: kind, Level: strings.ToLower(r.Level.String()), Text: r.Message}
	var detail strings.Builder
	add := func(a slog.Attr) bool {
		switch a.Key {
		case "pool":
			e.Pool = a.Value.String()
		case "took":
		default:
			if detail.Len() > 0 {
				detail.WriteString(", ")
			}
			fmt.Fprintf(&detail, "%s %v", a.Key, a.Value)
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	const most = 300
	if e.Detail = detail.String(); len(e.Detail) > most {
		e.Detail = strings.ToValidUTF8(e.Detail[:most], "") + "…"
	}
	return e
}

// WithAttrs returns a handler whose records have these attributes, too.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{events: h.events, next: h.next.WithAttrs(attrs), attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup returns a handler for which next has opened a group; events have no groups.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{events: h.events, next: h.next.WithGroup(name), attrs: h.attrs}
}
