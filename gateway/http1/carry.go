package http1

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

var _ bridge.Endpoint = (*Upstream)(nil)

// trip is one request of another protocol's client on its way to an endpoint as HTTP/1.1. Carry's goroutine relays the response; a second
// one runs only while a body is uploaded that did not leave with its head.
type trip struct {
	up      *Upstream
	request *bridge.Request
	client  bridge.Client
	sc      *scratch // the request's head as it is sent, and the response's
	held    *buffer  // what is held of the body; nil if nothing is
	probe   [1]byte  // what is read where nothing should be
	upload  tripUpload

	conn atomic.Pointer[upstreamConn] // whoever swaps it out owns it

	body     body   // of the response
	trailers []byte // the response's trailer lines
	expects  bool   // the client waits for 100 Continue
	begun    bool   // a byte of the response arrived
	complete bool   // the response ended as it should
	reusable bool   // ... and another request may follow it
	outcome  dispatch.Outcome
	err      error
}

// Carry sends a request as HTTP/1.1 and relays its response, as bridge.Endpoint has it. A body that is held and not longer than 64 KiB
// leaves with its head and may take an idle connection; all others take a fresh one, as they cannot be sent twice. How long the endpoint may
// take is up to ctx, but for connecting; closing the server ends the call, too. Client's methods must return soon after the end of ctx: no
// connection can be cut while it waits for them.
func (up *Upstream) Carry(ctx context.Context, r *bridge.Request, client bridge.Client) bridge.Result {
	t := &trip{up: up, request: r, client: client, sc: scratches.Get().(*scratch), expects: r.ExpectContinue}
	defer t.release()
	if err := t.prepare(); err != nil {
		return bridge.Result{Outcome: dispatch.ClientGone, Err: err}
	}
	u, err := t.connect(ctx)
	switch {
	case ctx.Err() != nil:
		if u != nil {
			u.abort()
		}
		return bridge.Result{Outcome: dispatch.ClientGone, Err: context.Cause(ctx)}
	case err != nil:
		return bridge.Result{Outcome: dispatch.ConnectFailed, Unbegun: true, Err: err}
	}
	t.conn.Store(u)
	defer context.AfterFunc(ctx, t.interrupt)()
	defer context.AfterFunc(up.srv.ctx, t.interrupt)()
	if t.upload.streamed {
		t.stream(u)
		u.roundTrip(t, outgoing{})
	} else {
		u.roundTrip(t, t.outgoing())
	}
	t.settle(u)
	return t.result(ctx)
}

func (t *trip) release() {
	t.sc.release()
	if t.held != nil {
		t.held.release()
	}
}

// connect returns an idle connection where the request may take one, else a fresh one.
func (t *trip) connect(ctx context.Context) (*upstreamConn, error) {
	if !t.upload.streamed && !t.request.Fresh {
		if u := t.up.get(rand.Uint32()); u != nil {
			return u, nil
		}
	}
	if !t.up.srv.hold() { // dialling uses the watcher, which Close closes
		return nil, errClosed
	}
	defer t.up.srv.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.up.srv.ctx, cancel)()
	return t.up.dial(ctx)
}

// interrupt aborts the connection. It may be called from any goroutine.
func (t *trip) interrupt() {
	if u := t.conn.Swap(nil); u != nil {
		u.abort()
	}
}

// settle ends the use of the connection: back into the pool only if everything about the exchange was in order.
func (t *trip) settle(u *upstreamConn) {
	sent := t.endUpload()
	switch {
	case !t.conn.CompareAndSwap(u, nil):
		// It was aborted. A response that was complete by then stays complete.
	case t.complete && t.reusable && sent:
		u.used = true
		t.up.put(u, rand.Uint32(), dispatch.Now())
	case t.complete && sent:
		u.retire()
	default:
		u.abort()
	}
}

func (t *trip) result(ctx context.Context) bridge.Result {
	if t.complete {
		if err := t.client.End(bridgedLines(t.trailers)); err != nil {
			return bridge.Result{Outcome: dispatch.ClientGone, Err: err}
		}
		return bridge.Result{}
	}
	if t.outcome == dispatch.ClientGone && t.err == nil {
		t.err = cmp.Or(t.upload.err, context.Cause(ctx), errClosed)
	}
	return bridge.Result{Outcome: t.outcome, Unbegun: t.outcome == dispatch.StaleConnection && !t.upload.streamed, Err: t.err}
}

// fail ends the exchange as o says, unless it is over already.
func (t *trip) fail(o dispatch.Outcome, err error) (over bool) {
	if t.outcome == dispatch.Completed {
		t.outcome, t.err = o, err
	}
	return true
}

// ended handles the end of the endpoint's bytes.
func (t *trip) ended(u *upstreamConn, err error) {
	switch {
	case t.conn.Load() == nil:
		t.fail(dispatch.ClientGone, nil) // by ctx, or because the body broke off
	case t.body.framing == framedByClose && err == io.EOF:
		t.complete = true
	case t.begun:
		t.fail(dispatch.UpstreamBroken, fmt.Errorf("the response broke off: %w", err))
	case u.used || !u.wrote:
		t.fail(dispatch.StaleConnection, err)
	default:
		t.fail(dispatch.UpstreamReset, err)
	}
}
