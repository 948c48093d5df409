package mock

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/mock/lifecycle"
)

// tokenChunks counts the token chunks of a chat stream as it was on the wire.
func tokenChunks(text string) int {
	return strings.Count(text, `"delta":{"content":"`)
}

func TestFaultsBeforeHeaders(t *testing.T) {
	for kind, want := range map[FaultKind]error{ResetBeforeHeaders: syscall.ECONNRESET, CloseBeforeHeaders: nil} {
		t.Run(string(kind), func(t *testing.T) {
			f := start(t, Options{})
			f.faults(`{"kind":"` + string(kind) + `","next":1}`)
			w := f.dial()
			w.request(chatPath, hello)
			text, err := w.rest()
			if text != "" || !errors.Is(err, want) {
				t.Errorf("got %q, %v", text, err)
			}
			if e := f.ending(); e.outcome != failed {
				t.Errorf("ended as %+v", e)
			}
			f.post(chatPath, hello, new(completionJSON))
			if s := f.State(); s.Engine.Finished != 1 || s.Requests.Failed != 1 || s.Requests.Finished != 1 {
				t.Errorf("state %+v", s)
			}
		})
	}
}

func TestFaultsMidStream(t *testing.T) {
	for kind, want := range map[FaultKind]error{ResetMidStream: syscall.ECONNRESET, CloseMidStream: nil} {
		t.Run(string(kind), func(t *testing.T) {
			f := start(t, Options{})
			for _, chunks := range []string{"0", "3", "8"} {
				f.faults(`{"kind":"` + string(kind) + `","afterChunks":` + chunks + `}`)
				w := f.dial()
				w.request(chatPath, stream8)
				text, err := w.rest()
				if n := tokenChunks(text); !strings.HasPrefix(text, "HTTP/1.1 200 OK\r\n") || n != int(chunks[0]-'0') || !errors.Is(err, want) {
					t.Errorf("after %s chunks: %d chunks in %q, %v", chunks, n, text, err)
				}
				if strings.HasSuffix(text, "0\r\n\r\n") || !strings.HasSuffix(text, "\r\n") {
					t.Errorf("not cut at a chunk's end: %q", text)
				}
				if e := f.ending(); e.outcome != failed {
					t.Errorf("ended as %+v", e)
				}
			}
			if s := f.State(); s.Engine.Running != 0 || s.Engine.KVUsage != 0 {
				t.Errorf("engine %+v", s.Engine)
			}
		})
	}
}

func TestFaultsWithinAWholeBody(t *testing.T) {
	f := start(t, Options{})
	f.faults(`{"kind":"close-mid-stream"}`)
	r, err := f.client.Post("http://"+f.Addr()+chatPath, "application/json", strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 || int64(len(body)) >= r.ContentLength {
		t.Errorf("%d bytes of %d, %v", len(body), r.ContentLength, err)
	}
	f.faults(`{"kind":"stall-mid-stream","for":"1ms"}`)
	f.post(chatPath, hello, new(completionJSON))
}

func TestResetOverHTTP2SparesOtherStreams(t *testing.T) {
	f := start(t, Options{Speed: 1})
	client := f.h2()
	url := "http://" + f.Addr() + chatPath
	other, err := client.Post(url, "application/json", strings.NewReader(longStream))
	if err != nil {
		t.Fatal(err)
	}
	f.SetFaults([]Fault{{Kind: ResetMidStream, AfterChunks: 2}})
	w, err := client.Post(url, "application/json", strings.NewReader(stream8))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(w.Body)
	if err == nil || tokenChunks(string(body)) != 2 {
		t.Errorf("%q, %v", body, err)
	}
	w.Body.Close()
	f.ending()
	if _, err := io.ReadFull(other.Body, make([]byte, 10_000)); err != nil {
		t.Errorf("the other stream: %v", err)
	}
	other.Body.Close()
	f.ending()
}

func TestStalls(t *testing.T) {
	t.Run("before headers until the client leaves", func(t *testing.T) {
		f := start(t, Options{})
		f.faults(`{"kind":"stall-before-headers"}`)
		w := f.dial()
		w.request(chatPath, hello)
		f.await("it is stalled", func(s State) bool { return s.Requests.Running == 1 })
		w.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		if text, err := w.rest(); text != "" || !errors.Is(err, errTimeout) {
			t.Errorf("got %q, %v", text, err)
		}
		w.Close()
		if e := f.ending(); e.outcome != cancelled {
			t.Errorf("ended as %+v", e)
		}
	})
	t.Run("mid-stream until the client leaves", func(t *testing.T) {
		f := start(t, Options{})
		f.faults(`{"kind":"stall-mid-stream","afterChunks":2}`)
		w := f.dial()
		w.request(chatPath, stream8)
		w.until("\n\n\r\n")
		w.until("\n\n\r\n")
		w.until("\n\n\r\n")
		w.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		if text, err := w.rest(); text != "" || !errors.Is(err, errTimeout) {
			t.Errorf("got %q, %v", text, err)
		}
		w.Close()
		if e := f.ending(); e.outcome != cancelled {
			t.Errorf("ended as %+v", e)
		}
	})
	for _, fault := range []string{
		`{"kind":"stall-before-headers","for":"60ms"}`, `{"kind":"stall-mid-stream","afterChunks":2,"for":"60ms"}`, `{"kind":"slow-start","delay":"60ms"}`,
	} {
		t.Run(fault, func(t *testing.T) {
			f := start(t, Options{})
			f.faults(fault)
			began := time.Now()
			_, _, body := f.do("POST", chatPath, stream8)
			if took := time.Since(began); took < 60*time.Millisecond || len(events(t, body)) != 10 {
				t.Errorf("took %v: %s", took, body)
			}
			if e := f.ending(); e.outcome != finished {
				t.Errorf("ended as %+v", e)
			}
		})
	}
}

// errTimeout is what a read past its deadline gives.
var errTimeout = os.ErrDeadlineExceeded

func TestStatusAnswers(t *testing.T) {
	f := start(t, Options{})
	f.faults(`{"kind":"status","status":429,"retryAfter":2,"next":2,"path":"/v1/chat/completions"},{"kind":"status","status":503,"path":"/v1/completions"}`)
	for _, want := range []int{429, 429, 200} {
		status, header, body := f.do("POST", chatPath, hello)
		if status != want || (header.Get("Retry-After") == "2") != (want == 429) {
			t.Errorf("status %d, Retry-After %q, want %d: %s", status, header.Get("Retry-After"), want, body)
		}
	}
	if status, header, _ := f.do("POST", "/v1/completions", `{}`); status != 503 || header.Get("Retry-After") != "" {
		t.Errorf("status %d with %v", status, header)
	}
	var left faultList
	_, _, body := f.do("GET", "/mock/faults", "")
	decode(t, body, &left)
	if len(left.Faults) != 1 || left.Faults[0].Status != 503 {
		t.Errorf("faults left: %+v", left)
	}
	f.faults("")
	if status, _, _ := f.do("POST", "/v1/completions", `{"model":"llama-3-8b","prompt":"x"}`); status != 200 {
		t.Errorf("status %d after the faults were cleared", status)
	}
}

func TestShareOfRequests(t *testing.T) {
	set := newFaultSet(1, new(lifecycle.Life))
	set.set([]Fault{{Kind: StatusAnswer, Status: 429, Share: .3}})
	hits := 0
	for range 10_000 {
		hits += len(set.plan(chatPath))
	}
	if hits < 2850 || hits > 3150 { // 3.3 standard deviations
		t.Errorf("%d of 10,000 requests were hit, want about 3,000", hits)
	}
}

func TestNotReady(t *testing.T) {
	f := start(t, Options{})
	check := func(want int) {
		t.Helper()
		for _, path := range []string{"/health", "/v2/health/ready", "/v2/models/llama-3-8b/ready"} {
			if status, _, _ := f.do("GET", path, ""); status != want {
				t.Errorf("%s answers %d, want %d", path, status, want)
			}
		}
		if status, _, _ := f.do("GET", "/v2/health/live", ""); status != http.StatusOK {
			t.Error("a replica that is not ready is still live")
		}
	}
	f.faults(`{"kind":"not-ready"}`)
	check(503)
	if f.State().Ready || len(f.Faults()) != 1 {
		t.Errorf("state %+v, faults %+v", f.State(), f.Faults())
	}
	f.post(chatPath, hello, new(completionJSON))
	f.faults("")
	check(200)
	f.faults(`{"kind":"not-ready","for":"20ms"}`)
	f.await("it is ready again", func(s State) bool { return s.Ready })
	check(200)
	if left := f.Faults(); len(left) != 0 {
		t.Errorf("faults left: %+v", left)
	}
}

func TestDeathAndRevival(t *testing.T) {
	f := start(t, Options{Speed: 1})
	f.post(chatPath, hello, new(completionJSON))
	f.ending()
	idle, busy := f.dial(), f.dial()
	busy.request(chatPath, longStream)
	busy.until(`"role":"assistant"`)
	f.faults(`{"kind":"death","for":"700ms"},{"kind":"status","status":429,"path":"/tokenize"}`)
	if _, err := net.Dial("tcp", f.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a dead replica's port: %v", err)
	}
	for name, w := range map[string]*wire{"idle": idle, "busy": busy} {
		if text, err := w.rest(); !errors.Is(err, syscall.ECONNRESET) || strings.Contains(text, "[DONE]") {
			t.Errorf("%s connection: %v", name, err)
		}
	}
	if e := f.ending(); e.outcome != failed {
		t.Errorf("ended as %+v", e)
	}
	f.awaitPort()
	s := f.State()
	if s.Deaths != 1 || s.Requests.Failed != 1 || s.Engine != (EngineState{}) {
		t.Errorf("state %+v", s)
	}
	if left := f.Faults(); len(left) != 1 || left[0].Kind != StatusAnswer {
		t.Errorf("faults left: %+v", left)
	}
	f.post(chatPath, hello, new(completionJSON))
}

// awaitPort waits until the replica's port takes connections.
func (f *fixture) awaitPort() {
	f.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", f.Addr())
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("the port stays closed: %v", err)
		}
	}
}

func TestDeathDuringDeathAndClose(t *testing.T) {
	f := start(t, Options{})
	for range 2 {
		if err := f.SetFaults([]Fault{{Kind: Death, For: Duration(time.Hour)}}); err != nil {
			t.Fatal(err)
		}
	}
	if s := f.State(); s.Deaths != 1 {
		t.Errorf("died %d times", s.Deaths)
	}
}

func TestFaultErrors(t *testing.T) {
	f := start(t, Options{})
	for body, want := range map[string]string{
		`{`:                               "unexpected EOF",
		`{}`:                              `no field "faults"`,
		`{"fault":[]}`:                    `unknown field "fault"`,
		`{"faults":[]} x`:                 "follows the JSON",
		`{"faults":[{"kind":"explode"}]}`: "the kinds are reset-before-headers, close",
		`{"faults":[{"kind":"death","for":"1s"},{}]}`:                  "faults[1]",
		`{"faults":[{"kind":"death"}]}`:                                "needs a time",
		`{"faults":[{"kind":"slow-start"}]}`:                           "needs a delay",
		`{"faults":[{"kind":"status","status":200}]}`:                  "400 to 599",
		`{"faults":[{"kind":"status","status":429,"share":1.5}]}`:      "share is 1.5",
		`{"faults":[{"kind":"status","status":429,"next":-1}]}`:        "negative",
		`{"faults":[{"kind":"reset-before-headers","afterChunks":1}]}`: "does not take afterChunks: it takes path, next, share",
		`{"faults":[{"kind":"slow-start","dealy":"1s"}]}`:              "unknown field \"dealy\"; the fields are",
		`{"faults":[{"kind":"slow-start","delay":"soon"}]}`:            "not a duration",
		`{"faults":[{"kind":"slow-start","delay":5}]}`:                 "Duration",
		`{"faults":` + strings.Repeat(" ", 64<<10) + `[]}`:             "too large",
	} {
		status, _, answer := f.do("POST", "/mock/faults", body)
		var e struct{ Error struct{ Message string } }
		decode(t, answer, &e)
		if status != http.StatusBadRequest || !strings.Contains(e.Error.Message, want) {
			t.Errorf("%.80s: %d %q does not say %q", body, status, e.Error.Message, want)
		}
	}
	if left := f.Faults(); len(left) != 0 || f.State().Deaths != 0 {
		t.Errorf("a list with an error was used: %+v", left)
	}
	if err := f.SetFaults([]Fault{{Kind: "explode"}}); err == nil {
		t.Error("SetFaults took an unknown kind")
	}
}

func FuzzFaults(f *testing.F) {
	f.Add([]byte(`{"faults":[{"kind":"status","status":429,"retryAfter":2,"next":5,"share":0.5}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		faults, err := parseFaults(body)
		if err != nil {
			return
		}
		again, err := parseFaults(mustJSON(faultList{Faults: faults}))
		if err != nil || len(again) != len(faults) {
			t.Fatalf("%+v does not survive its own JSON: %v", faults, err)
		}
		for i := range again {
			if again[i] != faults[i] {
				t.Fatalf("%+v became %+v", faults[i], again[i])
			}
		}
	})
}
