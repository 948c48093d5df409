package gateway

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestAccessLogLine(t *testing.T) {
	seen := make(chan struct{}) // the client has the first event, so that the last one comes later
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"choices\":[]}\n\n")
		w.(http.Flusher).Flush()
		<-seen
		io.WriteString(w, `data: {"usage":{"prompt_tokens":20,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":16}}}`+"\n\ndata: [DONE]\n\n")
	})
	r := start(t, pool(address)+"routes:\n- name: chat\n  match: {model: llama}\n  split: [{pool: main}]\n")
	post := func(body string) {
		t.Helper()
		request, _ := http.NewRequest(http.MethodPost, r.url("/v1/chat/completions?api_key=secret"), strings.NewReader(body))
		request.Header.Set("X-Request-Id", "id-1")
		request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode == 200 {
			io.ReadFull(response.Body, make([]byte, 1))
			close(seen)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	good, bad := `{"model": "llama", "stream": true}`, `{"model": "la\"ma"}`
	post(good)
	r.access.await(t, 1) // a line follows its response, so that those of two connections could come in any order
	post(bad)
	lines := r.access.await(t, 2)

	// What every line has, and what each of the two has in particular; nil is any number.
	want := map[string]any{
		"level": "INFO", "msg": "request", "request_id": "id-1", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "client": "127.0.0.1", "method": "POST", "path": "/v1/chat/completions",
		"protocol": "HTTP/1.1", "time": "", "duration_ms": nil, "queue_ms": 0.0, "response_bytes": nil, "request_bytes": nil,
	}
	each := []map[string]any{
		{"status": 200.0, "route": "chat", "pool": "main", "endpoint": address, "model": "llama", "attempts": 1.0, "ttft_ms": nil, "tpot_ms": nil,
			"prompt_tokens": 20.0, "completion_tokens": 5.0, "cached_tokens": 16.0, "outcome": "completed", "code": "", "request_bytes": float64(len(good))},
		{"status": 404.0, "route": "none", "pool": "none", "endpoint": "", "model": `la"ma`, "attempts": 0.0,
			"prompt_tokens": 0.0, "completion_tokens": 0.0, "cached_tokens": 0.0, "outcome": "refused", "code": "model_not_found"},
	}
	for i, line := range lines {
		got := make(map[string]any)
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if at, err := time.Parse(time.RFC3339, got["time"].(string)); err != nil || time.Since(at) > time.Minute {
			t.Errorf("the time is %v (%v)", got["time"], err)
		}
		got["time"] = ""
		for name, value := range want {
			if _, ok := each[i][name]; !ok {
				each[i][name] = value
			}
		}
		for name, value := range each[i] {
			number, isNumber := got[name].(float64)
			if value == nil && (!isNumber || number < 0) || value != nil && got[name] != value {
				t.Errorf("line %d: %s is %v, want %v", i, name, got[name], value)
			}
			delete(got, name)
		}
		for name, value := range got {
			t.Errorf("line %d has %s=%v besides", i, name, value)
		}
	}
}

func TestAccessLogSamplesSuccessesOnly(t *testing.T) {
	for _, c := range []struct {
		name    string
		setting config.AccessLog
		status  int
		outcome dispatch.Outcome
		logged  bool
	}{
		{"a success at 1", config.AccessLog{Enabled: true, Sample: 1}, 200, dispatch.Completed, true},
		{"a success at 0", config.AccessLog{Enabled: true, Sample: 0}, 200, dispatch.Completed, false},
		{"a local page at 0", config.AccessLog{Enabled: true}, 200, dispatch.Refused, false},
		{"a refusal at 0", config.AccessLog{Enabled: true}, 429, dispatch.Refused, true},
		{"an endpoint's error at 0", config.AccessLog{Enabled: true}, 500, dispatch.Completed, true},
		{"a client that left at 0", config.AccessLog{Enabled: true}, 499, dispatch.ClientGone, true},
		{"a truncated success at 0", config.AccessLog{Enabled: true}, 200, dispatch.UpstreamBroken, true},
		{"a refusal when it is off", config.AccessLog{Enabled: false, Sample: 1}, 429, dispatch.Refused, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			out := newLineBuffer()
			log := newAccessLog(newLineWriter(out))
			log.set(c.setting)
			log.write(&dispatch.Exchange{Status: c.status, Outcome: c.outcome}, "route", "pool")
			log.lines.close(time.Second)
			if got := len(out.lines) == 1; got != c.logged {
				t.Errorf("%s: logged is %v", c.name, got)
			}
		})
	}
}

func TestAccessLogSamplesTheShareItWasTold(t *testing.T) {
	const n = 10_000
	out := newLineBuffer()
	log := newAccessLog(newLineWriter(out))
	log.set(config.AccessLog{Enabled: true, Sample: .1})
	x := dispatch.Exchange{Status: 200}
	for range n {
		log.write(&x, "route", "pool")
	}
	log.lines.close(patience)
	// 6.7 standard deviations of a binomial around 1,000: beyond them once in 10^11 runs.
	if got := len(out.lines) + int(log.lines.dropped.Load()); got < 800 || got > 1200 {
		t.Errorf("logged %d of %d at a share of 0.1", got, n)
	}
}
