package bridge

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is an endpoint that a test plays.
type scripted func(ctx context.Context, r *Request, c Client) Result

func (s scripted) Carry(ctx context.Context, r *Request, c Client) Result { return s(ctx, r, c) }
func (s scripted) Close()                                                 {}

// observer counts mirror copies that were dropped, by reason.
type observer struct {
	mu      sync.Mutex
	dropped map[string]int
}

func (o *observer) Finished(*dispatch.Exchange)              {}
func (o *observer) Retried(*dispatch.Pool, dispatch.Outcome) {}

func (o *observer) MirrorDropped(_ *dispatch.Pool, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropped[reason]++
}

func (o *observer) count(reason string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped[reason]
}

// start makes mirrors of a pool with one endpoint; http1 and http2 carry what goes there.
func start(t *testing.T, pool string, http1, http2 Endpoint) (*Mirrors, *dispatch.Pool, *observer) {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte("pools: {shadow: {endpoints: [\"http://127.0.0.1:1\"]"+pool+"}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	o := &observer{dropped: make(map[string]int)}
	d := dispatch.New(dispatch.Options{
		NewUpstream: func(dispatch.EndpointConfig) dispatch.Upstream { return &Upstreams{HTTP1: http1, HTTP2: http2} },
		Observer:    o,
	})
	if err := d.Apply(c); err != nil {
		t.Fatal(err)
	}
	m := NewMirrors(d)
	t.Cleanup(func() { m.Close(); d.Close() })
	return m, d.Pool("shadow"), o
}

// forever waits for the end of its call.
func forever(ctx context.Context, _ *Request, _ Client) Result {
	<-ctx.Done()
	return Result{Outcome: dispatch.ClientGone, Err: ctx.Err()}
}

func TestMirrorSendsTheRequestAndDropsTheAnswer(t *testing.T) {
	for _, grpc := range []bool{false, true} {
		got := make(chan string, 1)
		right := scripted(func(_ context.Context, r *Request, c Client) Result {
			body, err := io.ReadAll(readerOf{c})
			if err != nil {
				t.Error(err)
			}
			c.Interim(103, nil)
			c.Head(&Response{Status: 500, Length: -1})
			c.Write([]byte("dropped"))
			c.End(nil)
			c.StopReading()
			if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("reading after StopReading ended with %v", err)
			}
			got <- r.Path + " " + string(body)
			return Result{}
		})
		wrong := scripted(func(context.Context, *Request, Client) Result {
			t.Error("the request took the wrong way")
			return Result{}
		})
		ways := map[bool][2]Endpoint{false: {right, wrong}, true: {wrong, right}}[grpc]
		m, pool, o := start(t, "", ways[0], ways[1])
		m.Submit(pool, &Request{Method: "POST", Path: "/x", Length: 4, Held: true}, []byte("body"), grpc)
		if s := <-got; s != "/x body" {
			t.Errorf("the endpoint got %q", s)
		}
		m.Close()
		if len(o.dropped) > 0 || pool.InFlight() != 0 || pool.Endpoints()[0].Mirrored() != 1 {
			t.Errorf("dropped %v, %d in flight, %d mirrored", o.dropped, pool.InFlight(), pool.Endpoints()[0].Mirrored())
		}
	}
}

// readerOf reads a client's body.
type readerOf struct{ c Client }

func (r readerOf) Read(p []byte) (int, error) { return r.c.Read(p) }

func TestMirrorsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, pool, o := start(t, ", maxInFlight: 1000", scripted(forever), nil)
		for range maxMirrored + 3 {
			m.Submit(pool, &Request{}, nil, false)
		}
		synctest.Wait()
		if n, dropped := pool.InFlight(), o.count("too_many"); n != maxMirrored || dropped != 3 {
			t.Errorf("%d are underway and %d were dropped, want %d and 3", n, dropped, maxMirrored)
		}
		m.Close()
		m.Submit(pool, &Request{}, nil, false)
		if n, dropped := pool.InFlight(), o.count("too_many"); n != 0 || dropped != 4 {
			t.Errorf("after Close %d are underway and %d were dropped, want 0 and 4", n, dropped)
		}
	})
}

func TestMirrorDoesNotWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, pool, o := start(t, ", maxInFlight: 1", scripted(forever), nil)
		m.Submit(pool, &Request{}, nil, false)
		synctest.Wait()
		m.Submit(pool, &Request{}, nil, false)
		synctest.Wait()
		if n, dropped := pool.InFlight(), o.count("no_room"); n != 1 || dropped != 1 {
			t.Errorf("%d are underway and %d were dropped, want 1 and 1", n, dropped)
		}
	})
}

func TestSilentMirrorIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took atomic.Int64
		began := time.Now()
		m, pool, _ := start(t, "", scripted(func(ctx context.Context, r *Request, c Client) Result {
			time.Sleep(9 * time.Second)
			c.Head(&Response{Status: 200, Length: -1})
			time.Sleep(9 * time.Second)
			c.Write([]byte("token"))
			<-ctx.Done()
			took.Store(int64(time.Since(began)))
			return Result{Outcome: dispatch.ClientGone, Err: ctx.Err()}
		}), nil)
		m.SetSilence(10 * time.Second)
		m.Submit(pool, &Request{}, nil, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if d := time.Duration(took.Load()); d != 28*time.Second {
			t.Errorf("it was cut after %v, want 28s", d)
		}
		e := pool.Endpoints()[0]
		if f := e.LastFailure(); e.InFlight() != 0 || f == nil || f.Cause != "upstream_timeout" {
			t.Errorf("%d are underway, and the last failure is %+v", e.InFlight(), f)
		}
	})
}
