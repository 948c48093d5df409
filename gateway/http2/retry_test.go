package http2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock/penstock/gateway/dispatch"
)

// never is a configuration whose requests are never tried again.
const never = "pools: {only: {endpoints: [\"h2c://ENDPOINT\"], retry: {attempts: 0}}}\n"

func TestRefusedStreamsGoToAnotherEndpoint(t *testing.T) {
	e1, e2 := startEndpoint(t), startEndpoint(t)
	g := startGateway(t, two, e1, e2)
	c := g.dial()
	body := message(string(pattern(50_000)))
	for name, head := range map[string]fields{"a call": callOf("/s/m"), "HTTP": postOf("/x")} {
		r := c.request(head.with("x-name", name), false)
		c.upload(r, []byte(body), false)
		c.headers(r, list("x-trailer", "late"), true)
		s, other := first(e1, e2)
		s.cancel(s.takeWhole(), errRefused)
		s2 := other.accept()
		q := s2.takeWhole()
		if string(q.body) != body || q.trailers.get("x-trailer") != "late" || q.head.get("x-name") != name {
			t.Errorf("%s came the second time as %v, %d bytes, %v", name, q.head, len(q.body), q.trailers)
		}
		s2.answerCall(q)
		c.whole(r)
		s.sayGoAway(0, errNone)
		s2.sayGoAway(lastStream, errNone)
		s.gone()
		s2.gone()
	}
	for i := range 2 {
		if e := g.wantEnded(i, dispatch.Completed, 200); e.attempts != 2 {
			t.Errorf("%d attempts, want 2", e.attempts)
		}
	}
}

func TestRefusedAmidTheUpload(t *testing.T) {
	e := startEndpoint(t, window(1000))
	e.stingy = true
	g := startGateway(t, simple, e)
	c := g.dial()
	body := pattern(60_000)
	r := c.request(postOf("/x"), false)
	c.upload(r, body[:30_000], false)
	s := e.accept()
	q := s.take()
	s.await("what the window allows", func() bool { return len(q.body) == 1000 })
	s.cancel(q, errRefused)
	q = s.take()
	s.give(q.id, 1<<20)
	c.upload(r, body[30_000:], true)
	s.whole(q)
	if !bytes.Equal(q.body, body) {
		t.Errorf("%d bytes came the second time, or others", len(q.body))
	}
	s.respond(q, "200", "ok")
	c.wantAnswer(r, "200", "ok")
	g.wantEnded(0, dispatch.Completed, 200)
	g.wantWholeWindows()
}

func TestRefusedToTheEnd(t *testing.T) {
	e := startEndpoint(t)
	e.serve(func(s *party, q *record) { s.cancel(q, errRefused) })
	g := startGateway(t, "pools: {only: {endpoints: [\"h2c://ENDPOINT\"], retry: {attempts: 2}}}\n", e)
	c := g.dial()
	last := c.wantStatus(c.request(callOf("/s/m"), true), "14")
	if last.get("grpc-message") == "" || last.get("grpc-status-details-bin") == "" {
		t.Errorf("the status came with %v", last)
	}
	if e := g.await(1)[0]; e.attempts != 3 || e.code != "stream_refused" || e.grpc != 14 || e.status != 503 {
		t.Errorf("the exchange ended as %+v", e)
	}
}

func TestRetriesHaveABudget(t *testing.T) {
	e := startEndpoint(t)
	e.serve(func(s *party, q *record) { s.cancel(q, errRefused) })
	g := startGateway(t, "pools: {only: {endpoints: [\"h2c://ENDPOINT\"], retry: {attempts: 1, budgetPercent: 0}}}\n", e)
	c := g.dial()
	begin := time.Now()
	for range 100 {
		c.wantStatus(c.request(callOf("/s/m"), true), "14")
	}
	g.await(100)
	// Ten a second are always allowed.
	if most := 11 + int(time.Since(begin)/(100*time.Millisecond)); len(g.finished.retried) > most || len(g.finished.retried) < 10 {
		t.Errorf("%d calls were tried again, want 10 to %d", len(g.finished.retried), most)
	}
}

func TestWhatMayHaveRunIsNotRetried(t *testing.T) {
	for name, test := range map[string]struct {
		play    func(s *party, q *record)
		outcome dispatch.Outcome
		reset   errCode // what a call's client gets; 0 is status 14
	}{
		"reset":               {func(s *party, q *record) { s.cancel(q, errInternal) }, dispatch.UpstreamReset, errInternal},
		"cancelled":           {func(s *party, q *record) { s.cancel(q, errCancel) }, dispatch.UpstreamReset, errCancel},
		"closed":              {func(s *party, q *record) { s.leave() }, dispatch.UpstreamReset, 0},
		"cut":                 {func(s *party, q *record) { s.cutOff() }, dispatch.UpstreamReset, 0},
		"GOAWAY and closed":   {func(s *party, q *record) { s.sayGoAway(q.id, errInternal); s.leave() }, dispatch.UpstreamReset, 0},
		"refused behind head": {func(s *party, q *record) { s.beginCall(q); s.cancel(q, errRefused) }, dispatch.UpstreamBroken, errRefused},
		"closed behind head":  {func(s *party, q *record) { s.beginCall(q); s.leave() }, dispatch.UpstreamBroken, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, simple)
			r := c.request(callOf("/s/m"), false)
			c.data(r, message("question"), true)
			s := e.accept()
			test.play(s, s.takeWhole())
			if test.reset != 0 {
				c.wantReset(r, test.reset)
			} else {
				c.wantStatus(r, "14")
			}
			if e := g.await(1)[0]; e.outcome != test.outcome || e.attempts != 1 {
				t.Errorf("the call ended as %v after %d attempts, want %v after one", e.outcome, e.attempts, test.outcome)
			}
			r = c.request(postOf("/x"), false)
			c.data(r, "{}", true)
			if strings.Contains(name, "closed") || name == "cut" {
				s = e.accept()
			}
			test.play(s, s.takeWhole())
			c.whole(r)
			switch {
			case test.outcome == dispatch.UpstreamReset && (r.head.get(":status") != "502" || !r.ended):
				t.Errorf("got %v (ended: %v)", r.head, r.ended)
			case test.outcome == dispatch.UpstreamBroken && (!r.reset || r.code == errNone):
				t.Errorf("the response ended as if it were whole: %v", r.head)
			}
			if e := g.await(2)[1]; e.outcome != test.outcome || e.attempts != 1 {
				t.Errorf("the request ended as %v after %d attempts, want %v after one", e.outcome, e.attempts, test.outcome)
			}
			e.idle()
		})
	}
}

// TestWhatWasNotWrittenIsRetried has an endpoint's connection die on which a request waits to be written.
func TestWhatWasNotWrittenIsRetried(t *testing.T) {
	e := startEndpoint(t, window(1<<30))
	g := startGateway(t, simple, e)
	c := g.dial()
	first := c.request(callOf("/s/m"), false)
	s := e.accept()
	s.give(0, 1<<30)
	s.sync()
	// The endpoint stops to read: sockets fill up, and then the gateway's output.
	u := g.upstreamConns()[0]
	full := func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.stuck.Load() != 0 && u.backlog() > 0
	}
	for !full() {
		c.await("credit", func() bool { return full() || c.left(first) > 0 })
		c.upload(first, pattern(maxFrame), false)
		c.sync()
	}
	second := c.request(callOf("/s/m"), false)
	c.data(second, message("question"), true)
	c.sync()
	s.cutOff()
	c.wantStatus(first, "14")
	s = e.accept()
	if q := s.takeWhole(); string(q.body) != message("question") {
		t.Errorf("the body came the second time as %q", q.body)
	} else {
		s.answerCall(q)
	}
	c.wantStatus(second, "0")
	all := g.await(2)
	if all[0].outcome != dispatch.UpstreamReset || all[0].attempts != 1 || all[1].attempts != 2 {
		t.Errorf("the calls ended as %v after %d attempts, and after %d", all[0].outcome, all[0].attempts, all[1].attempts)
	}
	g.wantWholeWindows()
}

func TestDeadEndpointIsPassedOver(t *testing.T) {
	e := startEndpoint(t)
	e.serve(func(s *party, q *record) { s.answerCall(q, string(q.body)) })
	g := startGateway(t, two, unused(t), e)
	c := g.dial()
	for range 10 {
		r := c.request(callOf("/s/m"), false)
		c.upload(r, pattern(50_000), true)
		c.wantStatus(r, "0")
		if string(r.body) != message(string(pattern(50_000))) {
			t.Errorf("%d bytes came back", len(r.body))
		}
	}
	tried := 0
	for _, e := range g.await(10) {
		tried += e.attempts - 1
	}
	if tried == 0 {
		t.Error("nothing was tried twice")
	}
}

// infer is a message of KServe's ModelInfer, whose model is named before and behind other fields.
func infer(model string, before, behind int) string {
	m := protowire.AppendTag(nil, 9, protowire.BytesType)
	m = protowire.AppendBytes(m, pattern(before))
	m = protowire.AppendTag(m, 1, protowire.BytesType)
	m = protowire.AppendString(m, model)
	m = protowire.AppendTag(m, 7, protowire.BytesType)
	m = protowire.AppendBytes(m, pattern(behind))
	return message(string(m))
}

const inferMethod = "/inference.GRPCInferenceService/ModelInfer"

// aliased replaces the name of a model.
const aliased = `
pools:
  only: {endpoints: ["h2c://ENDPOINT"]}
routes:
- match: {model: small}
  split: [{pool: only, model: "a-model-with-a-much-longer-name"}]
- match: {model: a-model-with-a-long-name}
  split: [{pool: only, model: s}]
`

func TestAliasedRequestIsRetriedWithItsAlias(t *testing.T) {
	const short, long = "small", "a-model-with-a-much-longer-name"
	for name, test := range map[string]struct {
		head          fields
		request, want string
	}{
		"a call, longer":  {callOf(inferMethod), infer(short, 20, 5000), infer(long, 20, 5000)},
		"a call, shorter": {callOf(inferMethod), infer("a-model-with-a-long-name", 20, 5000), infer("s", 20, 5000)},
		"JSON, longer":    {postOf("/v1/chat/completions"), `{"n":1, "model" : "small" ,"x":[]}`, `{"n":1, "model" : "` + long + `" ,"x":[]}`},
		"JSON, shorter":   {postOf("/v1/x"), `{"model":"a-model-with-a-long-name"}`, `{"model":"s"}`},
	} {
		for _, pieces := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("%s, in %d", name, pieces), func(t *testing.T) {
				e, g, c := start(t, aliased)
				head := test.head
				if pieces == 1 && head.get("content-type") == "application/json" {
					head = head.with("content-length", fmt.Sprint(len(test.request)))
				}
				r := c.request(head, false)
				for i := range pieces {
					from, to := len(test.request)*i/pieces, len(test.request)*(i+1)/pieces
					c.data(r, test.request[from:to], to == len(test.request))
				}
				s := e.accept()
				for _, refuse := range []bool{true, false} {
					q := s.takeWhole()
					if string(q.body) != test.want {
						t.Errorf("the body came as %.80q, want %.80q", q.body, test.want)
					}
					if n := q.head.get("content-length"); n != "" && n != fmt.Sprint(len(test.want)) {
						t.Errorf("content-length came as %s, want %d", n, len(test.want))
					}
					if refuse {
						s.cancel(q, errRefused)
						continue
					}
					s.answerCall(q)
				}
				c.whole(r)
				g.wantEnded(0, dispatch.Completed, 200)
				g.wantWholeWindows()
			})
		}
	}
}
