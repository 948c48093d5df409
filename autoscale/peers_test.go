package autoscale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneAddressEach(t *testing.T) {
	got := oneAddressEach([]Peer{{ID: "a", Address: "[fd00::1]:1"}, {ID: "a", Address: "10.0.0.1:1"}, {Address: "10.0.0.3:1"}, {Address: "10.0.0.2:1"}, {Address: "10.0.0.2:1"}})
	want := []Peer{{ID: "a", Address: "10.0.0.1:1"}, {Address: "10.0.0.2:1"}, {Address: "10.0.0.3:1"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPace asks each replica once a second, gives it two to answer, and lets none wait for another.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		asked := make(map[string]int)
		p := newPeers("self", nil, time.Second, slog.New(slog.DiscardHandler))
		p.ask = func(ctx context.Context, address string) (*report, error) {
			p.mu.Lock()
			asked[address]++
			p.mu.Unlock()
			if address == "b" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return says(address, 1), nil
		}
		if err := p.set(ctx, []Peer{serving("a"), serving("b")}); err != nil {
			t.Error(err)
		}
		time.Sleep(10*time.Second + 500*time.Millisecond)
		times := func(address string) int { p.mu.Lock(); defer p.mu.Unlock(); return asked[address] }
		if times("a") != 11 || times("b") < 5 || times("b") > 6 {
			t.Errorf("a was asked %d times in 10.5 s, and b %d times", times("a"), times("b"))
		}
		if err := p.complete(); err == nil {
			t.Error("the numbers are known without those of b")
		}
		if err := p.set(ctx, []Peer{serving("a")}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		n := times("b")
		time.Sleep(10 * time.Second)
		if times("b") != n || p.complete() != nil {
			t.Errorf("who is delisted is asked on: %d times, then %d", n, times("b"))
		}
		p.close()
	})
}

// TestWhoCannotBeAsked has not been asked: a replica that drains may have requests, and counts nothing only when it does not answer.
func TestWhoCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := errNoCertificate
		p := newPeers("self", nil, time.Second, slog.New(slog.DiscardHandler))
		p.ask = func(context.Context, string) (*report, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return nil, answer
		}
		if err := p.set(t.Context(), []Peer{at("b")}); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		if p.complete() == nil {
			t.Error("who was not asked counts nothing")
		}
		p.mu.Lock()
		answer = errors.New("connection refused")
		p.mu.Unlock()
		time.Sleep((worthTelling + 1) * time.Second)
		if err := p.complete(); err != nil {
			t.Error(err)
		}
		p.close()
	})
}

func TestTooManyReplicas(t *testing.T) {
	p := newPeers("self", nil, time.Second, slog.New(slog.DiscardHandler))
	all := make([]Peer, maxPeers+1)
	for i := range all {
		all[i].Address = fmt.Sprintf("10.0.0.1:%d", i)
	}
	if err := p.set(t.Context(), all); err == nil || err.Error() != "the gateway has 501 replicas, more than the 500 that can be asked" {
		t.Errorf("got %v", err)
	}
	if p.complete() == nil {
		t.Error("the numbers are known of those that nobody asked")
	}
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	var status int
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	defer server.Close()
	ids := new(identities)
	a := &asker{ids, &http.Client{Transport: toPlain{server.URL}}}
	if _, err := a.ask(t.Context(), "x"); !errors.Is(err, errNoCertificate) {
		t.Errorf("without a certificate: %v", err)
	}
	ids.Store(new(identity))
	for want, c := range map[string]struct {
		status int
		body   string
	}{
		"it answers 401 Unauthorized: who are you":     {401, "who are you"},
		"its answer has more than 2097152 bytes":       {200, `{"instance":"` + strings.Repeat("x", maxReport)},
		"cannot read its answer: unexpected end":       {200, `{"instance":"b"`},
		"cannot read its answer: json: cannot":         {200, `{"instance":"b","pools":{"a":{"queued":"1"}}}`},
		"its answer does not say which instance it is": {200, `{}`},
		`its answer has, for pool "a", -1 requests`:    {200, `{"instance":"b","pools":{"a":{"outstanding":-1}}}`},
		`its answer has, for pool "a", KV caches`:      {200, `{"instance":"b","pools":{"a":{"kvCache":-0.1}}}`},
	} {
		status, body = c.status, c.body
		if _, err := a.ask(t.Context(), "x"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	status, body = 200, `{"instance":"b","synced":true,"later":1,"pools":{"a":{"outstanding":3,"new":{}}}}`
	if r, err := a.ask(t.Context(), "x"); err != nil || *r.Pools["a"].Outstanding != 3 || r.Pools["a"].Queued != nil {
		t.Errorf("an answer of a later version: %+v %v", r, err)
	}
}

// toPlain sends requests to a server without TLS.
type toPlain struct{ url string }

func (p toPlain) RoundTrip(r *http.Request) (*http.Response, error) {
	again, err := http.NewRequestWithContext(r.Context(), r.Method, p.url+r.URL.Path, nil)
	if err != nil {
		return nil, err
	}
	again.Close = true
	return http.DefaultTransport.RoundTrip(again)
}

// TestTask fails three times, and is nudged.
func TestTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		logs, start, nudge := newLogRecorder(), time.Now(), make(chan struct{}, 1)
		var at []string
		done := make(chan struct{})
		task := &task{what: "read", every: 30 * time.Second, nudge: nudge, gap: 5 * time.Second, do: func(context.Context) error {
			at = append(at, time.Since(start).String())
			if n := len(at); n <= 3 {
				return errors.New("it is away")
			}
			return nil
		}}
		go func() { task.run(ctx, slog.New(logs)); close(done) }()
		time.Sleep(8 * time.Second) // it went well at 7 s
		signal(nudge)
		signal(nudge)
		time.Sleep(40 * time.Second)
		cancel()
		<-done
		// Failures after 1, 2 and 4 s; the nudge waits for the gap; and then the interval.
		if want := "[0s 1s 3s 7s 12s 42s]"; fmt.Sprint(at) != want {
			t.Errorf("done at %v, want %s", at, want)
		}
		if logs.count("cannot read error=it is away") != 1 || logs.count("can read again") != 1 {
			t.Errorf("logged: %v", logs.lines)
		}
	})
}
