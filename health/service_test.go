package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
)

// stateOf is a state that a test changes.
type stateOf struct {
	mu    sync.Mutex
	all   map[string]bool
	asked int
}

func (s *stateOf) get() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return maps.Clone(s.all)
}

func (s *stateOf) set(name string, serving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[name] = serving
}

func (s *stateOf) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, name)
}

func newTestService() (*Service, *stateOf) {
	state := &stateOf{all: map[string]bool{"": true, "llama": true, "qwen": false}}
	return NewService(state.get), state
}

// client is the engine's side of a call: what it received, and what the call returned.
type client struct {
	ctx    context.Context
	cancel context.CancelFunc

	requests [][]byte
	open     chan struct{} // the client's side ends when it is closed; nil ends it after the requests
	full     chan struct{} // sending waits until it is closed; nil takes everything
	sendErr  error

	mu      sync.Mutex
	sent    [][]byte
	ended   bool
	code    codes.Code
	message string
}

func newClient(requests ...proto.Message) *client {
	c := &client{}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for _, m := range requests {
		data, err := proto.Marshal(m)
		if err != nil {
			panic(err)
		}
		c.requests = append(c.requests, data)
	}
	return c
}

func (c *client) recv() ([]byte, error) {
	if len(c.requests) > 0 {
		m := c.requests[0]
		c.requests = c.requests[1:]
		return m, nil
	}
	if c.open != nil {
		select {
		case <-c.open:
		case <-c.ctx.Done():
			return nil, c.ctx.Err()
		}
	}
	return nil, io.EOF
}

func (c *client) send(m []byte) error {
	if c.full != nil {
		select {
		case <-c.full:
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sendErr == nil {
		c.sent = append(c.sent, bytes.Clone(m))
	}
	return c.sendErr
}

func (c *client) serve(s *Service, method string) *client {
	code, message := s.Serve(c.ctx, method, c.recv, c.send)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.code, c.message = true, codes.Code(code), message
	return c
}

func (c *client) want(t *testing.T, code codes.Code, message string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended || c.code != code || !strings.Contains(c.message, message) || (code == codes.OK) != (c.message == "") {
		t.Errorf("the call has ended: %v, with %v %q; want %v %q", c.ended, c.code, c.message, code, message)
	}
}

// statuses returns what a Check or Watch has sent since the last call.
func (c *client) statuses(t *testing.T) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, data := range c.sent {
		var m grpc_health_v1.HealthCheckResponse
		if err := proto.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m.Status.String())
	}
	c.sent = nil
	return strings.Join(all, " ")
}

func ask(service string) *grpc_health_v1.HealthCheckRequest {
	return &grpc_health_v1.HealthCheckRequest{Service: service}
}

// watching begins a Watch in a bubble, and waits until it waits.
func watching(s *Service, service string) *client {
	c := newClient(ask(service))
	go c.serve(s, "Watch")
	synctest.Wait()
	return c
}

func TestCheck(t *testing.T) {
	s, state := newTestService()
	for service, want := range map[string]string{"": "SERVING", "llama": "SERVING", "qwen": "NOT_SERVING"} {
		c := newClient(ask(service)).serve(s, "Check")
		c.want(t, codes.OK, "")
		if got := c.statuses(t); got != want {
			t.Errorf("Check of %q says %s, want %s", service, got, want)
		}
	}
	if state.asked != 1 {
		t.Errorf("an unchanged state was asked for %d times", state.asked)
	}
	state.set("qwen", true)
	s.Changed()
	if got := newClient(ask("qwen")).serve(s, "Check").statuses(t); got != "SERVING" {
		t.Errorf("after a change Check says %s", got)
	}
	c := newClient(ask(strings.Repeat("x", 1000))).serve(s, "Check")
	c.want(t, codes.NotFound, `unknown service "xxx`)
	if len(c.message) > 250 {
		t.Errorf("the client's name made a message of %d bytes", len(c.message))
	}
	if got := c.statuses(t); got != "" {
		t.Errorf("a call that failed sent %s", got)
	}
}

func TestList(t *testing.T) {
	s, state := newTestService()
	c := newClient(&grpc_health_v1.HealthListRequest{}).serve(s, "List")
	c.want(t, codes.OK, "")
	var m grpc_health_v1.HealthListResponse
	if err := proto.Unmarshal(c.sent[0], &m); err != nil || len(c.sent) != 1 {
		t.Fatalf("%d messages, error %v", len(c.sent), err)
	}
	if len(m.Statuses) != 3 || m.Statuses[""].Status != 1 || m.Statuses["llama"].Status != 1 || m.Statuses["qwen"].Status != 2 {
		t.Errorf("the list is %v", m.Statuses)
	}
	for i := range 5 {
		state.set(strings.Repeat("x", 1<<20)+fmt.Sprint(i), true)
	}
	s.Changed()
	c = newClient(&grpc_health_v1.HealthListRequest{}).serve(s, "List")
	c.want(t, codes.ResourceExhausted, "the list of 8 services has 52")
	if len(c.sent) != 0 {
		t.Error("a list that is too long was sent")
	}
}

func TestCallsThatAreWrong(t *testing.T) {
	s, _ := newTestService()
	for _, method := range []string{"Check", "List", "Watch"} {
		newClient().serve(s, method).want(t, codes.Internal, "no request message")
		newClient(ask(""), ask("")).serve(s, method).want(t, codes.Internal, "more than one request message")
		for _, garbage := range [][]byte{{0xff}, {0x0a, 5, 'x'}, {0x0b}} { // a tag without a value, a string that is cut, a group without end
			c := newClient()
			c.requests = [][]byte{garbage}
			c.serve(s, method).want(t, codes.Internal, "cannot decode the request, which must be a grpc.health.v1.Health")
		}
		c := newClient(ask(""))
		c.sendErr = errors.New("broken pipe")
		c.serve(s, method).want(t, codes.Internal, "cannot send the response: broken pipe")
		c = newClient(ask(""))
		c.open = make(chan struct{})
		c.cancel() // before the client has ended its side
		c.serve(s, method).want(t, codes.Canceled, "context canceled")
	}
	newClient(ask("")).serve(s, "check").want(t, codes.Unimplemented, `unknown method "check" of grpc.health.v1.Health`)
	newClient().serve(s, "").want(t, codes.Unimplemented, "unknown method")
	c := newClient()
	c.requests = [][]byte{{0x0a, 2, 0xff, 0xfe}} // a name that is no UTF-8
	c.serve(s, "Check").want(t, codes.Internal, "invalid UTF-8")
	c = newClient()
	c.requests = [][]byte{append([]byte{0x7a, 3, 'n', 'e', 'w'}, 0x0a, 5, 'l', 'l', 'a', 'm', 'a')} // a field that is not known yet
	if got := c.serve(s, "Check").statuses(t); got != "SERVING" {
		t.Errorf("a request with an unknown field got %q", got)
	}
	if s.watches != 0 {
		t.Errorf("%d watches are counted after all have ended", s.watches)
	}
}

// A Watch tells the status at once, and then each one that is new: of what is serving, is not, is unknown and known again.
func TestWatchTellsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, state := newTestService()
		llama, unknown := watching(s, "llama"), watching(s, "mistral")
		expect := func(when, wantLlama, wantUnknown string) {
			t.Helper()
			synctest.Wait()
			if got := llama.statuses(t); got != wantLlama {
				t.Errorf("%s: llama is told %q, want %q", when, got, wantLlama)
			}
			if got := unknown.statuses(t); got != wantUnknown {
				t.Errorf("%s: mistral is told %q, want %q", when, got, wantUnknown)
			}
		}
		expect("at first", "SERVING", "SERVICE_UNKNOWN")
		s.Changed()
		expect("when nothing changed", "", "")
		state.set("llama", false)
		expect("before it is told of a change", "", "")
		s.Changed()
		expect("llama failed", "NOT_SERVING", "")
		state.set("mistral", true)
		state.remove("llama")
		s.Changed()
		expect("a reload", "SERVICE_UNKNOWN", "SERVING")
		state.set("llama", true)
		state.set("", false) // other names' changes are not told
		s.Changed()
		expect("llama is back", "SERVING", "")
		llama.cancel()
		unknown.cancel()
		synctest.Wait()
		llama.want(t, codes.Canceled, "context canceled")
		if s.watches != 0 {
			t.Errorf("%d watches are counted after all have left", s.watches)
		}
	})
}

// A client that takes nothing is told only what holds when it takes more.
func TestWatchCoalescesForSlowClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, state := newTestService()
		c := newClient(ask("llama"))
		c.full = make(chan struct{})
		go c.serve(s, "Watch")
		synctest.Wait()
		for i := range 100 {
			state.set("llama", i%2 == 0)
			s.Changed()
			synctest.Wait()
		}
		if state.asked != 1 {
			t.Errorf("the state was asked for %d times while nobody looked", state.asked)
		}
		close(c.full)
		synctest.Wait()
		if got := c.statuses(t); got != "SERVING NOT_SERVING" {
			t.Errorf("told %q", got)
		}
		c.cancel()
	})
}

func TestCloseEndsWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, state := newTestService()
		c := watching(s, "")
		state.set("", false)
		s.Changed()
		synctest.Wait()
		if got := c.statuses(t); got != "SERVING NOT_SERVING" {
			t.Errorf("in the drain told %q", got)
		}
		s.Close()
		s.Close() // once more does no harm
		synctest.Wait()
		c.want(t, codes.Unavailable, "the server is closing")
		newClient(ask("")).serve(s, "Watch").want(t, codes.Unavailable, "the server is closing")
		if got := newClient(ask("")).serve(s, "Check").statuses(t); got != "NOT_SERVING" {
			t.Errorf("Check says %q after Close", got)
		}
	})
}

func TestWatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, state := newTestService()
		all := make([]*client, maxWatches)
		for i := range all {
			all[i] = newClient(ask("llama"))
			go all[i].serve(s, "Watch")
		}
		synctest.Wait()
		newClient(ask("llama")).serve(s, "Watch").want(t, codes.ResourceExhausted, "4096 Watch calls are open")
		newClient(ask("llama")).serve(s, "Check").want(t, codes.OK, "")
		state.set("llama", false)
		s.Changed()
		synctest.Wait()
		if state.asked != 2 {
			t.Errorf("%d watches asked for the state %d times, want once a change", maxWatches, state.asked)
		}
		for _, c := range all {
			if got := c.statuses(t); got != "SERVING NOT_SERVING" {
				t.Fatalf("one of many was told %q", got)
			}
		}
		all[0].cancel()
		synctest.Wait()
		if got := watching(s, "qwen"); got.ended {
			t.Error("there is no room for a watch after one has left")
		}
		s.Close()
	})
}

// A client that leaves while it takes nothing ends its Watch.
func TestLeavingEndsAWaitingSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestService()
		c := newClient(ask(""))
		c.full = make(chan struct{})
		go c.serve(s, "Watch")
		synctest.Wait()
		c.cancel()
		synctest.Wait()
		c.want(t, codes.Canceled, "context canceled")
	})
}

// Whatever happens at the same time, the last thing a watcher is told is what holds in the end.
func TestWatchConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, state := newTestService()
		watchers := []*client{watching(s, "llama"), watching(s, "llama"), watching(s, "qwen")}
		var changing sync.WaitGroup
		for i := range 4 {
			changing.Go(func() {
				for k := range 500 {
					state.set("llama", (i+k)%2 == 0)
					s.Changed()
				}
			})
		}
		changing.Wait()
		state.set("llama", false)
		s.Changed()
		synctest.Wait()
		for _, c := range watchers {
			got := strings.Fields(c.statuses(t))
			if last := got[len(got)-1]; last != "NOT_SERVING" {
				t.Errorf("the last that was told is %s", last)
			}
			for i := range got[1:] {
				if got[i] == got[i+1] {
					t.Fatalf("%s was told twice", got[i])
				}
			}
		}
		s.Close()
	})
}

// State may be asked while a lock is held under which Changed is called elsewhere.
func TestChangedDoesNotWaitForState(t *testing.T) {
	var s *Service
	s = NewService(func() map[string]bool {
		s.Changed()
		return map[string]bool{"": true}
	})
	newClient(ask("")).serve(s, "Check").want(t, codes.OK, "")
}

func FuzzServe(f *testing.F) {
	f.Add("Check", []byte{0x0a, 5, 'l', 'l', 'a', 'm', 'a'})
	f.Add("Watch", []byte{})
	f.Add("List", []byte{0x0b, 0x0c})
	s, _ := newTestService()
	s.Close() // lets a Watch end
	f.Fuzz(func(t *testing.T, method string, request []byte) {
		c := newClient()
		c.requests = [][]byte{request}
		if c.serve(s, method); c.code == codes.OK != (len(c.sent) == 1) {
			t.Errorf("code %v after %d messages", c.code, len(c.sent))
		}
	})
}
