package mock

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/penstock/penstock/bench/mock/inference"
)

// bothModes runs a test with an engine and without.
func bothModes(t *testing.T, test func(t *testing.T, o Options)) {
	for name, o := range map[string]Options{"engine": {}, "instant": {Instant: true}} {
		t.Run(name, func(t *testing.T) { test(t, o) })
	}
}

// wantReadiness asks every way in which a probe can ask.
func (f *fixture) wantReadiness(want bool) {
	f.t.Helper()
	status, health := http.StatusOK, serving
	if !want {
		status, health = http.StatusServiceUnavailable, notServing
	}
	for _, path := range []string{"/health", "/v2/health/ready", "/v2/models/llama-3-8b/ready"} {
		if got, _, _ := f.do("GET", path, ""); got != status {
			f.t.Errorf("%s answers %d, want %d", path, got, status)
		}
	}
	if got, _, _ := f.do("GET", "/v2/health/live", ""); got != http.StatusOK {
		f.t.Errorf("the replica is not alive: %d", got)
	}
	c := f.grpc()
	for _, service := range []string{"", "llama-3-8b"} {
		if r, err := healthpb.NewHealthClient(c).Check(c.ctx, &healthpb.HealthCheckRequest{Service: service}); err != nil || r.GetStatus() != health {
			f.t.Errorf("the health of %q is %v, %v; want %v", service, r, err, health)
		}
	}
	var server inference.ServerReadyResponse
	var model inference.ModelReadyResponse
	c.must("/"+inference.KServeName+"/ServerReady", &inference.ServerReadyRequest{}, &server)
	c.must("/"+inference.KServeName+"/ModelReady", &inference.ModelReadyRequest{Name: "llama-3-8b"}, &model)
	if server.GetReady() != want || model.GetReady() != want {
		f.t.Errorf("KServe says ready %v and %v, want %v", server.GetReady(), model.GetReady(), want)
	}
	if f.Ready() != want || f.State().Ready != want {
		f.t.Errorf("the state's readiness is not %v", want)
	}
}

func TestNotReadyCoversEveryProbe(t *testing.T) {
	f := start(t, Options{})
	f.wantReadiness(true)
	f.faults(`{"kind":"not-ready"}`)
	f.wantReadiness(false)
	f.post(chatPath, hello, new(completionJSON))
	f.faults("")
	f.wantReadiness(true)
}

func TestLoading(t *testing.T) {
	bothModes(t, func(t *testing.T, o Options) {
		o.LoadTime = time.Hour
		f := start(t, o)
		f.wantReadiness(false)
		status, header, body := f.do("POST", chatPath, hello)
		if status != http.StatusServiceUnavailable || !strings.Contains(body, `"code":"model_loading"`) || header.Get("x-mock-replica") == "" {
			t.Errorf("a request gets %d %s", status, body)
		}
		c := f.grpc()
		var out inference.ModelInferResponse
		wantCode(t, c.invoke(inference.ModelInferMethod, inferRequest("x", 2), &out), codes.Unavailable)
		_, err := c.ask(c.ctx, inferRequest("x", 2)).Recv()
		wantCode(t, err, codes.Unavailable)
		w, err := healthpb.NewHealthClient(c).Watch(c.ctx, &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, w, notServing)
		f.life.Load(0) // the hour is over
		wantStatus(t, w, serving)
		f.wantReadiness(true)
		f.post(chatPath, hello, new(completionJSON))
		c.must(inference.ModelInferMethod, inferRequest("x", 2), &out)
	})
}

func TestADeadReplicaLoadsAgain(t *testing.T) {
	f := start(t, Options{LoadTime: time.Hour})
	f.life.Load(0)
	f.wantReadiness(true)
	f.faults(`{"kind":"death","for":"10ms"}`)
	f.awaitPort()
	f.wantReadiness(false)
}

func TestLabel(t *testing.T) {
	bothModes(t, func(t *testing.T, o Options) {
		o.Label = "v2"
		f := start(t, o)
		for _, path := range []string{"/health", "/v1/models"} {
			if _, header, _ := f.do("GET", path, ""); header.Get("x-mock-label") != "v2" {
				t.Errorf("%s has the label %q", path, header.Get("x-mock-label"))
			}
		}
		if _, header, _ := f.do("POST", chatPath, stream8); header.Get("x-mock-label") != "v2" {
			t.Errorf("an answer has the label %q", header.Get("x-mock-label"))
		}
		c := f.grpc()
		var header metadata.MD
		c.must(inference.ModelInferMethod, inferRequest("x", 2), new(inference.ModelInferResponse), grpc.Header(&header))
		if got := header.Get("x-mock-label"); len(got) != 1 || got[0] != "v2" || f.State().Label != "v2" {
			t.Errorf("over gRPC the label is %q, in the state %q", got, f.State().Label)
		}
	})
	if err := (Options{Label: "a\r\nb"}).Validate(); err == nil || !strings.Contains(err.Error(), "visible ASCII") {
		t.Errorf("a label with a line's end: %v", err)
	}
	if err := (Options{LoadTime: -1}).Validate(); err == nil || !strings.Contains(err.Error(), "cannot load a model for -1ns") {
		t.Errorf("a negative time to load: %v", err)
	}
}

// A stream that is underway goes on, and who comes late is answered and told to leave.
func TestDrainTakesLateRequests(t *testing.T) {
	bothModes(t, func(t *testing.T, o Options) {
		f := start(t, o)
		var dials atomic.Int64
		old := f.grpc(grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}))
		var out inference.ModelInferResponse
		old.must(inference.ModelInferMethod, inferRequest("x", 2), &out) // opens its connection
		underway := f.dial()
		if f.instant == nil {
			f.faults(`{"kind":"stall-mid-stream","afterChunks":2,"next":1}`)
		}
		underway.Write([]byte("POST " + chatPath + " HTTP/1.1\r\nHost: mock\r\nx-mock-interval: 1h\r\nContent-Length: " + strconv.Itoa(len(stream8)) + "\r\n\r\n" + stream8))
		underway.until("data: ") // its head came, without Connection: close

		ctx, cancel := context.WithCancel(t.Context())
		drained := make(chan int64, 1)
		go func() { drained <- f.Drain(ctx, time.Hour) }()
		<-f.draining()
		f.wantReadiness(false)
		late := f.dial()
		late.request(chatPath, hello)
		if w, err := http.ReadResponse(late.r, nil); err != nil || w.StatusCode != http.StatusOK || !w.Close {
			t.Errorf("a late request gets %+v, %v", w, err)
		}
		f.grpc().must(inference.ModelInferMethod, inferRequest("x", 2), &out)
		for dials.Load() < 2 { // GOAWAY makes the client leave its connection
			old.must(inference.ModelInferMethod, inferRequest("x", 2), &out)
		}
		select {
		case n := <-drained:
			t.Fatalf("drained with a stream underway: %d", n)
		default:
		}
		f.await("the late requests are over", func(s State) bool { return s.Requests.Running == 1 }) // their clients know it first
		cancel()
		if n := <-drained; n != 1 {
			t.Errorf("%d requests were underway at the end, want 1", n)
		}
	})
}

// draining is closed when the replica has begun to drain.
func (f *fixture) draining() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, _, changed := f.life.Watch(); !f.life.Draining(); _, _, changed = f.life.Watch() {
			<-changed
		}
	}()
	return done
}

func TestDrainEndsWhenStreamsEnd(t *testing.T) {
	bothModes(t, func(t *testing.T, o Options) {
		f := start(t, o)
		r, err := http.NewRequest("POST", "http://"+f.Addr()+chatPath, strings.NewReader(strings.Replace(stream8, ":8,", ":3,", 1)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("x-mock-interval", "50ms")
		w, err := f.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Body.Close()
		drained := make(chan int64, 1)
		go func() { drained <- f.Drain(t.Context(), time.Hour) }()
		if b, err := io.ReadAll(w.Body); err != nil || !strings.HasSuffix(string(b), "[DONE]\n\n") {
			t.Errorf("the stream ends with %v: %s", err, b)
		}
		if n := <-drained; n != 0 {
			t.Errorf("%d requests were underway", n)
		}
	})
}

func TestAwaitQuiet(t *testing.T) {
	const limit = 10 * time.Second
	for _, c := range []struct {
		name        string
		from, until time.Duration // a request runs meanwhile
		every       time.Duration // and others come and go at once
		stop        time.Duration // ctx ends; 0 never
		want        time.Duration // give or take two looks
		left        int64
	}{
		{"idle", 0, 0, 0, 0, quietPeriod, 0},
		{"one underway", 0, 3 * time.Second, 0, 0, 3*time.Second + quietPeriod, 0},
		{"one late", 900 * time.Millisecond, 2 * time.Second, 0, 0, 2*time.Second + quietPeriod, 0},
		{"too late", quietPeriod + time.Second, time.Hour, 0, 0, quietPeriod, 0},
		{"endless", 0, time.Hour, 0, 0, limit, 1},
		{"never quiet", 0, 0, 900 * time.Millisecond, 0, limit, 0},
		{"seldom enough", 0, 0, 1100 * time.Millisecond, 0, quietPeriod, 0},
		{"told to go", 0, time.Hour, 0, 2 * time.Second, 2 * time.Second, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.stop > 0 {
					time.AfterFunc(c.stop, cancel)
				}
				began := time.Now()
				var calls atomic.Int64
				left := awaitQuiet(ctx, limit, func() (started, running int64) {
					calls.Add(1)
					now := time.Since(began)
					if c.until > 0 && now >= c.from {
						started++
						if now < c.until {
							running = 1
						}
					}
					if c.every > 0 {
						started += int64(now / c.every)
					}
					return started, running
				})
				if took := time.Since(began); took < c.want-quietPoll || took > c.want+2*quietPoll {
					t.Errorf("took %v, want %v", took, c.want)
				}
				if left != c.left {
					t.Errorf("%d were underway, want %d", left, c.left)
				}
			})
		})
	}
}
