package mock

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestInstantReplica(t *testing.T) {
	f := start(t, Options{Instant: true, Models: []string{"m1", "m2"}, MaxTokens: 3, MaxBodyBytes: 4096})
	var c completionJSON
	f.post(chatPath, `{"model":"anything","messages":[]}`, &c)
	if c.Model != "m1" || c.Usage.Completion != 3 {
		t.Errorf("answer %+v", c)
	}
	_, header, body := f.do("POST", chatPath, stream8)
	if len(events(t, body)) != 10 || header.Get("x-mock-replica") != f.Addr() {
		t.Errorf("%v: %s", header, body)
	}
	if status, _, _ := f.do("POST", chatPath, strings.Repeat("x", 5000)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d for a large body", status)
	}
	if status, _, _ := f.do("GET", "/health", ""); status != http.StatusOK {
		t.Errorf("/health answers %d", status)
	}
	if status, _, body := f.do("GET", "/v1/models", ""); status != http.StatusOK || !strings.Contains(body, `"m2"`) {
		t.Errorf("/v1/models answers %d: %s", status, body)
	}
	if v := f.scrape()[`vllm:request_success_total{model_name="m1",engine="0",finished_reason="length"}`]; v != 2 {
		t.Errorf("%v requests finished, want 2", v)
	}
	if s := f.State(); s.Requests != (RequestCounts{Started: 2, Finished: 2}) || !s.Ready {
		t.Errorf("state %+v", s)
	}
	for _, method := range []string{"GET", "POST"} {
		if status, _, body := f.do(method, "/mock/faults", `{"faults":[]}`); status != http.StatusNotFound || !strings.Contains(body, "instant") {
			t.Errorf("%s /mock/faults answers %d: %s", method, status, body)
		}
	}
	if err := f.SetFaults([]Fault{{Kind: NotReady}}); err == nil {
		t.Error("an instant replica took faults")
	}
	if f.Faults() != nil {
		t.Error("an instant replica has faults")
	}
}

func TestInstantCloseCutsPacedStreams(t *testing.T) {
	f := start(t, Options{Instant: true})
	w := f.dial()
	w.Write([]byte("POST " + chatPath + " HTTP/1.1\r\nx-mock-interval: 1h\r\nContent-Length: 15\r\n\r\n" + `{"stream":true}`))
	w.until("the ")
	closed := make(chan struct{})
	go func() { f.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("Close waits for the stream")
	}
	if text, _ := w.rest(); strings.Contains(text, "[DONE]") {
		t.Errorf("the stream ended cleanly: %q", text)
	}
}
