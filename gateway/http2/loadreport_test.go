package http2

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

const (
	textReport = "TEXT named_metrics.num_requests_waiting=3, named_metrics.kv_cache_usage_perc=0.5"
	binReport  = "Qh4KE2t2X2NhY2hlX3VzYWdlX3BlcmMRmpmZmZmZ2T8="
)

func (g *gateway) wantReports(want ...string) {
	g.t.Helper()
	if got := g.reports.All(); !slices.Equal(got, want) {
		g.t.Errorf("the reports %q were handed on, want %q", got, want)
	}
}

// Load reports are handed on from heads and trailers of whatever there is, and clients get them as they came.
func TestLoadReports(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)

	r := c.request(postOf("/v1/x"), true)
	q := s.takeWhole()
	s.headers(q, list(":status", "200", "endpoint-load-metrics", textReport), false)
	s.data(q, "ok", false)
	s.headers(q, list("endpoint-load-metrics-bin", binReport), true)
	c.whole(r)
	if r.head.get("endpoint-load-metrics") != textReport || r.trailers.get("endpoint-load-metrics-bin") != binReport {
		t.Errorf("the client got %v and %v", r.head, r.trailers)
	}
	g.wantEnded(1, dispatch.Completed, 200)

	r = c.request(callOf("/s/m"), true)
	q = s.takeWhole()
	s.beginCall(q)
	s.headers(q, list("grpc-status", "0", "endpoint-load-metrics-bin", binReport), true)
	c.wantStatus(r, "0")
	if r.trailers.get("endpoint-load-metrics-bin") != binReport {
		t.Errorf("the client got the trailers %v", r.trailers)
	}
	g.wantEnded(2, dispatch.Completed, 200)

	// A call's status may come in the head, and the report with it.
	r = c.request(callOf("/s/m"), true)
	s.headers(s.takeWhole(), list(":status", "200", "content-type", "application/grpc", "grpc-status", "8", "endpoint-load-metrics-bin", binReport), true)
	c.wantStatus(r, "8")
	g.await(4)
	g.wantReports(textReport, "binary "+binReport, "binary "+binReport, "binary "+binReport)
}

func TestLoadReportsFromHTTP1(t *testing.T) {
	e, g, c := start(t, older)
	r := c.request(postOf("/v1/x").with("content-length", "2"), false)
	c.data(r, "{}", true)
	s := e.acceptHTTP1()
	s.request()
	s.send(strings.Replace(chunkedHead, "\r\n\r\n", "\r\nEndpoint-Load-Metrics: "+textReport+"\r\n\r\n", 1) + chunk("token") +
		"0\r\nEndpoint-Load-Metrics-Bin: " + binReport + "\r\n\r\n")
	c.whole(r)
	if r.head.get("endpoint-load-metrics") != textReport || r.trailers.get("endpoint-load-metrics-bin") != binReport {
		t.Errorf("the client got %v and %v", r.head, r.trailers)
	}
	g.wantEnded(0, dispatch.Completed, 200)
	g.wantReports(textReport, "binary "+binReport)
}

func TestLoadReportsOfMirrors(t *testing.T) {
	main, shadow := startEndpoint(t), startEndpoint(t)
	g := startGateway(t, mirrored, main, shadow)
	c := g.dial()
	r := c.request(callOf("/s/m"), true)
	s := main.accept()
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	m := shadow.accept()
	q := m.takeWhole()
	m.beginCall(q)
	m.headers(q, list("grpc-status", "0", "endpoint-load-metrics-bin", binReport), true)
	for deadline := dispatch.Now() + int64(patience); g.dispatcher.Pool("shadow").InFlight() > 0; runtime.Gosched() {
		if dispatch.Now() > deadline {
			t.Fatal("the copy does not end")
		}
	}
	g.wantReports("binary " + binReport)
}

// Reports that are not due cost no allocation. In a second a hundred are due, and each makes new signals.
func TestCallWithLoadReportKeepsToItsBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools drop what is put into them")
	}
	e := startEndpoint(t)
	serveBareWith(e, "answer", list("endpoint-load-metrics-bin", binReport)...)
	g := startGateway(t, simple, e)
	g.finished.quiet.Store(true)
	g.reports.Publish.Store(true)
	c := dialBare(t, g, callOf("/test.Service/Method").with("user-agent", "test"), "question")
	c.calls(t, 500, 1)
	runtime.GC()
	var before, after runtime.MemStats
	began := dispatch.Now()
	runtime.ReadMemStats(&before)
	const n = 3000
	c.calls(t, n, 1)
	runtime.ReadMemStats(&after)
	due := float64((dispatch.Now()-began)/10e6 + 1)
	if per := (float64(after.Mallocs-before.Mallocs) - due) / n; per > callBudget {
		t.Errorf("%.2f allocations a call beside %v reports, want %v at most", per, due, callBudget)
	}
	if s := g.dispatcher.Pool("only").Endpoints()[0].Signals(); s == nil || s.KVCache.Value != 0.4 {
		t.Errorf("the signals are %+v", s)
	}
}
