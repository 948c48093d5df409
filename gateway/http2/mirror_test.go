package http2

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

const mirrored = `
pools:
  main: {endpoints: ["h2c://ENDPOINT"]}
  shadow: {endpoints: ["h2c://ENDPOINT"]}
routes:
- split: [{pool: main}]
  mirror: {pool: shadow, maxBodyBytes: 1KiB}
`

func TestMirrorGetsACopyAndItsAnswerIsDropped(t *testing.T) {
	main, shadow := startEndpoint(t), startEndpoint(t)
	g := startGateway(t, mirrored, main, shadow)
	c := g.dial()
	var s, m *party
	for i, head := range []fields{
		callOf("/s/m").with("x-meta", "a", "data-bin", "AAEC", "grpc-timeout", "1H"),
		postOf("/v1/x").with("x-meta", "a"),
	} {
		r := c.request(head, false)
		c.data(r, message("ques"), false)
		if s == nil {
			s = main.accept()
		}
		q := s.take()
		shadow.idle() // the copy goes out when it is complete
		c.data(r, "tion", true)
		if m == nil {
			m = shadow.accept()
		}
		copied := m.takeWhole()
		if string(copied.body) != message("ques")+"tion" || copied.head.get("x-meta") != "a" || copied.head.get(":path") != head.get(":path") ||
			copied.head.get("data-bin") != head.get("data-bin") || copied.head.get("x-request-id") != q.head.get("x-request-id") {
			t.Errorf("the copy came as %v %q", copied.head, copied.body)
		}
		m.headers(copied, list(":status", "500"), true)
		s.answerCall(s.whole(q), "the original's")
		c.whole(r)
		if string(r.body) != message("the original's") {
			t.Errorf("got %v %q", r.head, r.body)
		}
		g.wantEnded(i, dispatch.Completed, 200)
	}
}

func TestMirrorThatIsDeadOrSlowDoesNoHarm(t *testing.T) {
	for name, shadow := range map[string]func(t *testing.T) *endpoint{
		"dead": func(t *testing.T) *endpoint { return unused(t) },
		"mute": func(t *testing.T) *endpoint { return startEndpoint(t) },
		"resets": func(t *testing.T) *endpoint {
			e := startEndpoint(t)
			e.serve(func(s *party, q *record) { s.cancel(q, errInternal) })
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			main := startEndpoint(t)
			g := startGateway(t, mirrored, main, shadow(t))
			c := g.dial()
			main.serve(func(s *party, q *record) { s.answerCall(q, string(q.body)) })
			for range 20 {
				r := c.request(callOf("/s/m"), false)
				c.data(r, message("x"), true)
				c.wantStatus(r, "0")
			}
			g.await(20)
		})
	}
}

func TestWhatIsNotMirrored(t *testing.T) {
	main, shadow := startEndpoint(t), startEndpoint(t)
	g := startGateway(t, mirrored, main, shadow)
	c := g.dial()
	s := warm(c, main)
	warmed := shadow.accept().takeWhole()
	if warmed.head.get(":path") != "/s/warm" {
		t.Errorf("the copy is %v", warmed.head)
	}
	// Too large: the observer is told.
	r := c.request(callOf("/s/m"), false)
	c.upload(r, pattern(600), false)
	c.upload(r, pattern(600), true)
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	g.watch("a copy is dropped", func(f *finished) bool { return len(f.dropped) == 1 })
	if got := g.finished.dropped[0]; got != "shadow: body_too_large" {
		t.Errorf("dropped: %s", got)
	}
	// Broken off.
	r = c.request(callOf("/s/m"), false)
	c.data(r, message("x"), false)
	q := s.take()
	c.cancel(r, errCancel)
	s.wantReset(q, errCancel)
	g.await(3)
	if n := g.dispatcher.Pool("shadow").Endpoints()[0].Mirrored(); n != 1 {
		t.Errorf("%d copies were sent, want 1", n)
	}
}

// TestMirrorOfARetriedRequest is sent once.
func TestMirrorOfARetriedRequest(t *testing.T) {
	main, shadow := startEndpoint(t), startEndpoint(t)
	g := startGateway(t, mirrored, main, shadow)
	c := g.dial()
	r := c.request(callOf("/s/m"), false)
	c.data(r, message("question"), false)
	s := main.accept()
	s.cancel(s.take(), errRefused)
	q := s.take()
	c.data(r, "more", true)
	m := shadow.accept()
	if copied := m.takeWhole(); string(copied.body) != message("question")+"more" {
		t.Errorf("the copy came as %q", copied.body)
	}
	s.answerCall(s.whole(q))
	c.wantStatus(r, "0")
	m.sync()
	if len(m.arrived) != 0 {
		t.Error("a second copy came")
	}
	g.wantOutcome(0, dispatch.Completed)
}

// TestMirrorGetsTheAliasedModel, as it stands in for the pool that the model's name was replaced for.
func TestMirrorGetsTheAliasedModel(t *testing.T) {
	main, shadow := startEndpoint(t), startEndpoint(t)
	yaml := strings.Replace(mirrored, "- split: [{pool: main}]", "- match: {model: small}\n  split: [{pool: main, model: large}]", 1)
	g := startGateway(t, yaml, main, shadow)
	c := g.dial()
	r := c.request(callOf(inferMethod), false)
	c.data(r, infer("small", 5, 5), true)
	s := main.accept()
	q := s.takeWhole()
	if string(q.body) != infer("large", 5, 5) {
		t.Errorf("the request came as %q", q.body)
	}
	if copied := shadow.accept().takeWhole(); string(copied.body) != infer("large", 5, 5) {
		t.Errorf("the copy came as %q", copied.body)
	}
	s.answerCall(q)
	c.wantStatus(r, "0")
}
