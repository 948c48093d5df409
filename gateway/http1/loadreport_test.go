package http1

import (
	"context"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
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

// reporting is a response with load reports in its head.
func reporting(status int) string {
	return strings.Replace(plain(status, "{}"), "\r\n\r\n", "\r\nEndpoint-Load-Metrics: "+textReport+"\r\nendpoint-load-metrics-BIN: "+binReport+"\r\n\r\n", 1)
}

// Load reports in heads are handed on, an error's too, and the client gets them as they came.
func TestLoadReportsInHeads(t *testing.T) {
	b, g, c := start(t, simple)
	c.send(getRequest)
	s := b.accept()
	for _, status := range []int{200, 503} {
		s.request()
		s.send(reporting(status))
		head := c.head()
		c.expect("{}")
		wantHeader(t, head, "Endpoint-Load-Metrics", "Endpoint-Load-Metrics: "+textReport)
		wantHeader(t, head, "endpoint-load-metrics-BIN", "endpoint-load-metrics-BIN: "+binReport)
		c.send(getRequest)
	}
	s.request()
	s.send(plain(200, "{}"))
	c.response("GET")
	g.wantReports(textReport, "binary "+binReport, textReport, "binary "+binReport)
}

// Trailers of HTTP/1.1 go from one connection to the other as they are. Where the head announces them, load reports in them are handed on.
func TestLoadReportsInTrailers(t *testing.T) {
	b, g, c := start(t, simple)
	var s *peer
	for i, announced := range []string{"", "Trailer: endpoint-load-metrics\r\n"} {
		c.send(getRequest)
		if s == nil {
			s = b.accept()
		}
		s.request()
		s.send(strings.Replace(chunkedHead, "\r\n\r\n", "\r\n"+announced+"\r\n", 1) + chunk("token"))
		c.head()
		c.expect(chunk("token"))
		end := "0\r\nEndpoint-Load-Metrics: " + textReport + "\r\nendpoint-load-metrics-bin: " + binReport + "\r\n\r\n"
		s.send(end)
		c.expect(end)
		g.wantEnded(i, dispatch.Completed, 200)
	}
	g.wantReports(textReport, "binary "+binReport)
}

// Between versions of HTTP trailers are read.
func TestLoadReportsOfBridgedResponses(t *testing.T) {
	text, binary := bridge.Field{Name: "endpoint-load-metrics", Value: textReport}, bridge.Field{Name: "endpoint-load-metrics-bin", Value: binReport}
	g, c := startBridged(t, elsewhere, func(_ context.Context, _ *bridge.Request, client bridge.Client) bridge.Result {
		return answer(client, bridge.Response{Status: 200, Length: -1, Fields: []bridge.Field{text}}, []string{"ok"}, binary)
	})
	c.send(getRequest)
	if res, _ := c.response("GET"); res.Header.Get("Endpoint-Load-Metrics") != textReport {
		t.Errorf("the client got %v", res.Header)
	}
	g.wantEnded(0, dispatch.Completed, 200)
	g.wantReports(textReport, "binary "+binReport)
}

func TestLoadReportsOfMirrors(t *testing.T) {
	main, shadow := startBackend(t), startBackend(t)
	g := startGateway(t, mirrored, main, shadow)
	c := g.dial()
	c.send(post("/v1/x", "{}"))
	s, m := main.accept(), shadow.accept()
	s.request()
	s.send(plain(200, "{}"))
	c.response("POST")
	m.request()
	m.send(strings.Replace(chunkedHead, "\r\n\r\n", "\r\nEndpoint-Load-Metrics: "+textReport+"\r\n\r\n", 1) + "0\r\nEndpoint-Load-Metrics-Bin: " + binReport + "\r\n\r\n")
	eventually(t, "the copy ends", func() bool { return g.dispatcher.Pool("shadow").InFlight() == 0 })
	g.wantReports(textReport, "binary "+binReport)
}

// Reports that are not due cost no allocation. In a second a hundred are due, and each makes new signals.
func TestRequestWithLoadReportAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools drop what is put into them")
	}
	b := echoBackend(t, []byte(reporting(200)))
	g := startGateway(t, simple, b)
	g.finished.quiet.Store(true)
	g.reports.Publish.Store(true)
	request := []byte(post("/v1/chat/completions", `{"model":"llama-3-8b","messages":[{"role":"user","content":"hello"}]}`))
	size := responseSize(t, g, request) + len("{}")
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	roundTrips(t, conn, request, size, 200) // warms pools
	runtime.GC()
	var before, after runtime.MemStats
	began := dispatch.Now()
	runtime.ReadMemStats(&before)
	const n = 5000
	roundTrips(t, conn, request, size, n)
	runtime.ReadMemStats(&after)
	due := float64((dispatch.Now()-began)/10e6 + 1)
	if per := (float64(after.Mallocs-before.Mallocs) - due) / n; per > 0.02 {
		t.Errorf("%.3f allocations a request beside %v reports, want 0", per, due)
	}
	if s := g.dispatcher.Pool("only").Endpoints()[0].Signals(); s == nil || s.Waiting.Value != 3 || s.KVCache.Value != 0.5 {
		t.Errorf("the signals are %+v", s)
	}
}
