package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/live"
)

// watching is a watcher of a gateway.
type watching struct {
	t        testing.TB
	lines    *bufio.Scanner
	body     io.Closer
	snapshot live.Snapshot
	events   []live.Event
}

func (r *running) watchLive() *watching {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.AdminAddr().String()+"/debug/live", nil)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); response.StatusCode != 200 || got != "text/event-stream" {
		r.t.Fatalf("got %s, %s", response.Status, got)
	}
	r.t.Cleanup(func() { response.Body.Close() })
	w := &watching{t: r.t, lines: bufio.NewScanner(response.Body), body: response.Body}
	w.lines.Buffer(nil, 1<<20)
	return w
}

// until reads until what was seen is as it should be.
func (w *watching) until(what string, ok func() bool) {
	w.t.Helper()
	name := ""
	for w.lines.Scan() {
		if event, found := strings.CutPrefix(w.lines.Text(), "event: "); found {
			name = event
		}
		data, found := strings.CutPrefix(w.lines.Text(), "data: ")
		if !found {
			continue
		}
		var err error
		switch name {
		case "snapshot":
			w.snapshot = live.Snapshot{}
			err = json.Unmarshal([]byte(data), &w.snapshot)
		case "events":
			var fresh []live.Event
			err = json.Unmarshal([]byte(data), &fresh)
			w.events = append(w.events, fresh...)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if ok() {
			return
		}
	}
	w.t.Fatalf("%s was not seen (%v); last were %+v and %+v", what, w.lines.Err(), w.snapshot, w.events)
}

func TestLiveShowsWhatRequestsMeet(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
			transport.Protocols.SetUnencryptedHTTP2(protocol == "HTTP/2")
			t.Cleanup(transport.CloseIdleConnections)
			testLive(t, &http.Client{Transport: transport})
		})
	}
}

func testLive(t *testing.T, client *http.Client) {
	goOn := make(chan struct{})
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if strings.HasPrefix(r.URL.Path, "/broken") {
			w.WriteHeader(500)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"choices\":[]}\n\ndata: {\"choices\":[]}\n\n")
		w.(http.Flusher).Flush()
		<-goOn
		io.WriteString(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n")
	})
	r := start(t, fmt.Sprintf("pools:\n  main: {endpoints: [\"http://%s\"]}\nroutes:\n- {name: chat, match: {model: llama}, split: [{pool: main}]}\n- {name: rest, split: [{pool: main}]}\n", address))
	w := r.watchLive()
	w.until("the start", func() bool {
		return w.snapshot.State == "serving" && len(w.events) > 0 && w.events[len(w.events)-1].Kind == live.KindLife
	})
	response, err := client.Get(r.url("/broken"))
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, response.Body) // who closes it before its end has left, over HTTP/2
	response.Body.Close()
	request, _ := http.NewRequest(http.MethodPost, r.url("/v1/chat/completions"), strings.NewReader(`{"model":"llama","stream":true}`))
	request.Header.Set("X-Request-Id", "watched")
	response, err = client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	w.until("the request", func() bool {
		for _, one := range w.snapshot.Requests {
			if one.ID == "watched" {
				return one.Route == "chat" && one.Pool == "main" && one.Model == "llama" && one.Endpoint == address && one.Phase == live.PhaseStreaming && one.Tokens == 2
			}
		}
		return false
	})
	if n := w.snapshot.Total.InFlight; n != 1 || w.snapshot.Active != 1 || w.snapshot.Unlisted != 0 {
		t.Errorf("%d requests are in flight, %d active, %d not listed", n, w.snapshot.Active, w.snapshot.Unlisted)
	}
	close(goOn)
	io.Copy(io.Discard, response.Body)
	// A request is counted in several places, one after the other, between any two of which a snapshot may be taken.
	w.until("the figures", func() bool {
		f := &w.snapshot.Total
		return f.TTFT != nil && *f.OutputTokens > 0 && len(w.snapshot.Requests) == 0
	})
	main := w.snapshot.Pools[0]
	if *main.Requests == 0 || *main.Errors == 0 || *main.OutputTokens == 0 || main.TTFT.Count != 1 || *main.Endpoints[0].Share != 1 {
		text, _ := json.Marshal(main)
		t.Errorf("the pool is %s", text)
	}
	if chat := w.snapshot.Routes[0]; chat.Name != "chat" || chat.Targets[0].Requests != 1 || *chat.Targets[0].Measured != 1 {
		t.Errorf("the route is %+v", chat)
	}
}

// TestLiveTellsModelsOfOnePoolApart has a split of two models of one pool, which a reload makes three, and then one.
func TestLiveTellsModelsOfOnePoolApart(t *testing.T) {
	address := answering(t, "{}")
	split := func(targets string) string {
		return pool(address) + "routes:\n- {name: chat, match: {model: llama}, split: [" + targets + "]}\n"
	}
	r := start(t, split("{pool: main, weight: 75}, {pool: main, model: tuned, weight: 25}"))
	w := r.watchLive()
	ask := func(n int) {
		for range n {
			response, err := http.Post(r.url("/v1/completions"), "application/json", strings.NewReader(`{"model":"llama"}`))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	}
	targets := func(want ...live.Target) func() bool {
		return func() bool {
			if len(w.snapshot.Routes) == 0 || len(w.snapshot.Routes[0].Targets) != len(want) {
				return false
			}
			got := w.snapshot.Routes[0].Targets
			for i := range got {
				if got[i].Pool != want[i].Pool || got[i].Model != want[i].Model || got[i].Configured != want[i].Configured {
					return false
				}
			}
			return true
		}
	}
	requests := func() (n []uint64) {
		for _, t := range w.snapshot.Routes[0].Targets {
			n = append(n, t.Requests)
		}
		return n
	}
	w.until("the split", targets(live.Target{Pool: "main", Configured: .75}, live.Target{Pool: "main", Model: "tuned", Configured: .25}))
	ask(40)
	w.until("the requests", func() bool { n := requests(); return n[0]+n[1] == 40 })
	n := requests()
	if one := w.snapshot.Routes[0].Targets[1]; n[0] == 0 || n[1] == 0 || one.Overall == nil || *one.Overall != float64(n[1])/40 || *one.Measured != *one.Overall {
		t.Errorf("of 40 requests the targets had %v: %+v", n, one)
	}
	r.configure(split("{pool: main, weight: 75}, {pool: main, model: tuned, weight: 25}, {pool: main, model: new, weight: 0}"))
	w.until("the third target", targets(live.Target{Pool: "main", Configured: .75}, live.Target{Pool: "main", Model: "tuned", Configured: .25}, live.Target{Pool: "main", Model: "new"}))
	if got := requests(); got[0] != n[0] || got[1] != n[1] || got[2] != 0 {
		t.Errorf("after the reload the targets had %v, want %v and 0", got, n)
	}
	r.configure(split("{pool: main, model: tuned}"))
	w.until("the only target", targets(live.Target{Pool: "main", Model: "tuned", Configured: 1}))
	if got := requests(); got[0] != 40 {
		t.Errorf("the only target had %v requests, want those of its pool: 40", got)
	}
	if left := r.metrics.targets.read(); len(left) != 0 {
		t.Errorf("counts of targets that are no more are kept: %v", left)
	}
}

func TestLiveShowsReloads(t *testing.T) {
	r := start(t, pool("127.0.0.1:1"))
	w := r.watchLive()
	w.until("the start", func() bool { return w.snapshot.State != "" })
	r.configure("pools: {}\nnonsense: 1\n")
	reload := func(level string) func() bool {
		return func() bool {
			n := len(w.events)
			return n > 0 && w.events[n-1].Kind == live.KindReload && w.events[n-1].Level == level
		}
	}
	w.until("the failed reload", reload("error"))
	r.configure(pool("127.0.0.1:1", "127.0.0.1:2"))
	w.until("the reload", reload("info"))
	w.until("the new endpoint", func() bool { return len(w.snapshot.Pools[0].Endpoints) == 2 })
}

// TestPageLoadsNothingFromElsewhere reads what the browser is told to allow.
func TestPageLoadsNothingFromElsewhere(t *testing.T) {
	r := start(t, pool("127.0.0.1:1"))
	types := map[string]string{"": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
	for _, pattern := range live.PagePaths {
		path := strings.TrimSuffix(pattern, "{$}")
		response, err := http.Get("http://" + r.AdminAddr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		want := types[filepath.Ext(path)]
		if got := response.Header.Get("Content-Type"); response.StatusCode != 200 || want == "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s has status %d and is %q, want %q", path, response.StatusCode, got, want)
		}
		policy := response.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("%s has the policy %q", path, policy)
		}
		text := strings.ReplaceAll(string(body), "http://www.w3.org/2000/svg", "")
		if strings.Contains(text, "http:") || strings.Contains(text, "https:") || strings.Contains(text, " style=") || strings.Contains(text, " onclick=") {
			t.Errorf("%s names another place, or has code or style within it", path)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
