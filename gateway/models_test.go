package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

// modelServer is a model server that lists models and counts how often it is asked to.
type modelServer struct {
	address string
	asked   atomic.Int64
	list    atomic.Pointer[[]string] // nil: it answers 500
}

func newModelServer(t testing.TB, models ...string) *modelServer {
	m := &modelServer{}
	m.list.Store(&models)
	m.address = backend(t, func(w http.ResponseWriter, r *http.Request) {
		list := m.list.Load()
		if r.URL.Path != modelsPath || list == nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		m.asked.Add(1)
		var entries []string
		for _, id := range *list {
			entries = append(entries, fmt.Sprintf(`{"id":%q,"object":"model","root":"of the server"}`, id))
		}
		fmt.Fprintf(w, `{"object":"list","data":[%s]}`, strings.Join(entries, ","))
	})
	return m
}

// hanging is an address that takes connections and never answers.
func hanging(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// dead is an address that refuses connections.
func dead(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// models returns the ids of the gateway's list.
func (r *running) models() []string {
	r.t.Helper()
	status, body := fetch(r.t, http.DefaultClient, r.url(modelsPath))
	var list struct {
		Object string
		Data   []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != 200 || list.Object != "list" {
		r.t.Fatalf("got %d %q (%v)", status, body, err)
	}
	var ids []string
	for _, entry := range list.Data {
		ids = append(ids, entry.ID)
	}
	return ids
}

func TestModelsOfAllPools(t *testing.T) {
	a, b := newModelServer(t, "llama", "llama-lora"), newModelServer(t, "qwen-v2", "hidden")
	unrouted := newModelServer(t, "unrouted")
	r := start(t, fmt.Sprintf(`pools:
  a: {endpoints: ["http://%s"]}
  b: {endpoints: ["http://%s"]}
  c: {endpoints: ["http://%s"]}
routes:
- match: {model: qwen-v2}
  split: [{pool: b}]
- match: {model: qwen}
  split: [{pool: b, model: qwen-v2}]
- match: {path: /c}
  mirror: {pool: c}
  split: [{pool: a}]
`, a.address, b.address, unrouted.address))
	// hidden is on a server, but no request for it would get there; qwen is a name that only the route knows.
	want := []string{"llama", "llama-lora", "qwen-v2", "qwen"}
	if got := r.models(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for path, c := range map[string]struct {
		status int
		want   string
	}{
		"/v1/models/llama":                        {200, `"root":"of the server"`},
		"/v1/models/qwen":                         {200, `"owned_by":"penstock"`},
		"/v1/models/llama%2Dlora":                 {200, `"id":"llama-lora"`},
		"/v1/models/hidden":                       {404, `"code":"model_not_found"`},
		"/v1/models/" + strings.Repeat("x", 1000): {404, `"code":"model_not_found"`},
	} {
		status, body := fetch(t, http.DefaultClient, r.url(path))
		if status != c.status || !strings.Contains(body, c.want) || len(body) > 400 {
			t.Errorf("%.40s: got %d %q, want %d with %s", path, status, body, c.status, c.want)
		}
	}
	if a.asked.Load() != 1 || b.asked.Load() != 1 || unrouted.asked.Load() != 0 {
		t.Errorf("asked %d, %d and %d times, want 1, 1 and 0: an answer is good for a while", a.asked.Load(), b.asked.Load(), unrouted.asked.Load())
	}
}

func TestModelsDespiteDeadAndHungServers(t *testing.T) {
	good := newModelServer(t, "llama")
	for i := range 6 { // the order in which servers are asked is random
		r := start(t, pool(dead(t), hanging(t), good.address))
		if got, want := r.models(), []string{"llama"}; !slices.Equal(got, want) {
			t.Errorf("run %d: got %q, want %q", i, got, want)
		}
		r.stop()
	}
}

func TestModelsDespiteAPoolThatHangs(t *testing.T) {
	good := newModelServer(t, "llama")
	r := start(t, fmt.Sprintf(`pools:
  main: {endpoints: ["http://%s"]}
  hung: {endpoints: ["http://%s"]}
routes:
- match: {model: other}
  split: [{pool: hung}]
- split: [{pool: main}]
`, good.address, hanging(t)))
	begin := time.Now()
	if got, want := r.models(), []string{"llama", "other"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if took := time.Since(begin); took < modelsTimeout || took > modelsTimeout+patience/4 {
		t.Errorf("took %v, want about %v", took, modelsTimeout)
	}
}

func TestModelsThatAreNoList(t *testing.T) {
	for _, answer := range []string{"<html>", `{"data": 1}`, `{}`, `[]`, ""} {
		r := start(t, pool(answering(t, answer)))
		if got := r.models(); len(got) != 0 {
			t.Errorf("a server that answers %q has the models %q", answer, got)
		}
		r.stop()
	}
}

func TestLastModelsOfAPoolStandIn(t *testing.T) {
	server := newModelServer(t, "llama")
	r := start(t, pool(server.address))
	if got := r.models(); !slices.Equal(got, []string{"llama"}) {
		t.Fatalf("at first: %q", got)
	}
	server.list.Store(nil)
	r.Gateway.models.renew(r.config.Load())
	if got := r.models(); !slices.Equal(got, []string{"llama"}) {
		t.Errorf("when the server fails: %q", got)
	}
	server.list.Store(&[]string{"llama-2"})
	r.Gateway.models.renew(r.config.Load())
	if got := r.models(); !slices.Equal(got, []string{"llama-2"}) {
		t.Errorf("when the server answers again: %q", got)
	}
}

func TestModelsAreAskedForOnceAtATime(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int64
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-release
		io.WriteString(w, `{"data":[{"id":"llama"}]}`)
	})
	r := start(t, pool(address))
	var clients sync.WaitGroup
	const n = 8
	for range n {
		clients.Go(func() {
			if got := r.models(); !slices.Equal(got, []string{"llama"}) {
				t.Errorf("got %q", got)
			}
		})
	}
	r.awaitConnections(n)
	close(release)
	clients.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestModelsAreRenewedAfterAWhileAndAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := parse(t, "pools: {a: {endpoints: [\"http://127.0.0.1:1\"]}}\nroutes: [{match: {model: one}, split: [{pool: a}]}]\n"),
			parse(t, "pools: {a: {endpoints: [\"http://127.0.0.1:1\"]}}\nroutes: [{match: {model: two}, split: [{pool: a}]}]\n")
		current := first
		m := newModelLister(func() []*dispatch.Pool { return nil }, func() *config.Config { return current }, nil, discard())
		defer m.close()
		m.current()
		made := m.listed
		time.Sleep(modelsFresh - time.Millisecond)
		if m.current(); m.listed != made {
			t.Error("a fresh list was made anew")
		}
		time.Sleep(time.Millisecond)
		if m.current(); m.listed == made {
			t.Error("an old list was not made anew")
		}
		current = second
		if list := string(m.current()); !strings.Contains(list, `"two"`) || strings.Contains(list, `"one"`) {
			t.Errorf("after a reload the list is %s", list)
		}
	})
}
