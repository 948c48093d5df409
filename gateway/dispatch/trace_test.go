package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// diary is a Tracer and a Trace that writes down what it is told.
type diary struct {
	entries []string
	follows bool
}

func (d *diary) note(format string, a ...any) {
	d.entries = append(d.entries, fmt.Sprintf(format, a...))
}

func (d *diary) Begin(x *Exchange) Trace {
	d.note("begin")
	x.SetTraceContext(&TraceContext{State: "request"})
	if !d.follows {
		return nil
	}
	return d
}

func (d *diary) Queued(from, to int64) { d.note("queued %v", to >= from) }

func (d *diary) Attempt(x *Exchange) {
	d.note("attempt %d %s", x.Attempts, x.Endpoint.Address)
	x.SetTraceContext(&TraceContext{State: fmt.Sprint("attempt ", x.Attempts)})
}

func (d *diary) AttemptEnded(x *Exchange, e AttemptEnd) {
	d.note("ended %v %v %v %v", e.Outcome, e.Cause, e.FirstByte > 0, e.FirstToken > 0)
}

func (d *diary) Finished(x *Exchange) { d.note("finished %v %s", x.Outcome, x.Endpoint.Address) }

func (d *diary) set(o *Options) { o.Tracer = d }

func TestTracerIsToldOfARequest(t *testing.T) {
	d := &diary{follows: true}
	f := newFixture(t, onePool(1, "retry: {attempts: 1}"), d.set)
	x := &Exchange{}
	x.Reset(f.Dispatcher)
	x.BeginTrace()
	x.Request.Method, x.Request.Path = methodPOST, pathCompletions
	if action, _ := x.Match(); action != Forward || x.TraceContext().State != "request" {
		t.Fatalf("the request is not forwarded, or its trace is %v", x.TraceContext())
	}
	if reply := x.Admit(); reply != nil {
		t.Fatal(reply.Message)
	}
	address := x.Endpoint.Address
	x.Failed(errors.New("unplugged"))
	if reply := x.Retry(ConnectFailed, true); reply != nil {
		t.Fatal(reply.Message)
	}
	if told, copied := x.TraceContext().State, x.MirrorTraceContext().State; told != "attempt 2" || copied != "request" {
		t.Errorf("the endpoint is told %q and the mirror %q", told, copied)
	}
	x.FirstByte()
	x.Answered(Now())
	x.Finish(Completed)
	want := []string{"begin", "attempt 1 " + address, "ended connect_failed unplugged false false", "attempt 2 " + address,
		"ended completed <nil> true true", "finished completed " + address}
	if !slices.Equal(d.entries, want) {
		t.Errorf("the tracer was told\n%q, want\n%q", d.entries, want)
	}
}

func TestTracerIsToldNoMoreThanItFollows(t *testing.T) {
	d := &diary{}
	f := newFixture(t, onePool(1, ""), d.set)
	x := &Exchange{}
	x.Reset(f.Dispatcher)
	x.BeginTrace()
	if x.TraceContext().State != "request" || x.Traced() != nil {
		t.Errorf("the endpoint is told %v, and the trace is %q", x.TraceContext(), x.Traced())
	}
	f.trip(x)
	if !slices.Equal(d.entries, []string{"begin"}) || x.TraceContext() != nil {
		t.Errorf("the tracer was told %q; another request's trace is %v", d.entries, x.TraceContext())
	}
	x.UseMirror(f.Dispatcher, f.Dispatcher.Pools()[0])
	x.AdmitNow()
	x.Finish(Completed)
	if len(d.entries) != 1 {
		t.Errorf("the tracer was told of a mirror's copy: %q", d.entries)
	}
}
