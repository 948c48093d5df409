package http2

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// service is one of the gateway's own, as a test plays it.
type service func(ctx context.Context, method string, recv func() ([]byte, error), send func([]byte) error) (uint32, string)

func (s service) Serve(ctx context.Context, method string, recv func() ([]byte, error), send func([]byte) error) (uint32, string) {
	return s(ctx, method, recv, send)
}

// startService serves a service of the gateway's own, and connects a client.
func startService(t *testing.T, s service) (*gateway, *party) {
	t.Helper()
	g := setup{services: map[string]Service{"own.Service": s}}.start(t, simple, unused(t))
	return g, g.dial()
}

// echo answers each message with itself, and each method but Echo with UNIMPLEMENTED.
func echo(_ context.Context, method string, recv func() ([]byte, error), send func([]byte) error) (uint32, string) {
	if method != "Echo" {
		return 12, "no method " + method
	}
	for {
		m, err := recv()
		if err == io.EOF {
			return 0, ""
		}
		if err != nil {
			return 13, err.Error()
		}
		if err := send(m); err != nil {
			return 1, err.Error()
		}
	}
}

func TestOwnService(t *testing.T) {
	g, c := startService(t, echo)
	r := c.request(callOf("/own.Service/Echo"), false)
	for i, m := range []string{"one", "", strings.Repeat("x", 60_000)} {
		c.upload(r, []byte(message(m)[:3]), false)
		c.upload(r, []byte(message(m)[3:]), false)
		want := len(message("one")+message("")) + 60_005
		switch i {
		case 0:
			want = len(message("one"))
		case 1:
			want = len(message("one") + message(""))
		}
		c.await("the echo", func() bool { return len(r.body) == want })
	}
	c.data(r, "", true)
	last := c.wantStatus(r, "0")
	if r.head.get("content-type") != "application/grpc" || r.head.get("x-request-id") == "" || last.get("grpc-message") != "" {
		t.Errorf("got %v and %v", r.head, last)
	}
	if end := g.wantEnded(0, dispatch.Refused, 200); end.grpc != 0 || end.code != "" || end.attempts != 0 {
		t.Errorf("the observer saw %+v", end)
	}
	r = c.request(callOf("/own.Service/Other"), false)
	c.data(r, message("x"), false)
	if last := c.wantStatus(r, "12"); last.get("grpc-message") != "no method Other" {
		t.Errorf("got %v", last)
	}
	c.await("what declines the rest", func() bool { return r.reset })
	g.wantEnded(1, dispatch.Refused, 501)
	g.wantWholeWindows()
}

func TestMessagesThatOwnServicesDoNotTake(t *testing.T) {
	g, c := startService(t, echo)
	for name, body := range map[string]string{
		"compressed":     "\x01" + message("x")[1:],
		"too long":       message(strings.Repeat("x", maxLocalMessage+1)),
		"half a prefix":  message("x")[:3],
		"half a message": message("xyz")[:6],
	} {
		r := c.request(callOf("/own.Service/Echo"), false)
		c.upload(r, []byte(body), true)
		if last := c.wantStatus(r, "13"); last.get("grpc-message") == "" {
			t.Errorf("%s: got %v", name, last)
		}
	}
	g.await(4)
	g.wantWholeWindows()
}

// TestLeavingAnOwnService ends what it waits for.
func TestLeavingAnOwnService(t *testing.T) {
	for name, leave := range map[string]func(g *gateway, c *party, r *record){
		"by a reset":    func(_ *gateway, c *party, r *record) { c.cancel(r, errCancel) },
		"by a cut":      func(_ *gateway, c *party, _ *record) { c.cutOff() },
		"by a deadline": func(g *gateway, _ *party, _ *record) { g.look(11 * time.Second) },
	} {
		for _, begun := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				began, ended := make(chan struct{}), make(chan []error, 1)
				g, c := startService(t, func(ctx context.Context, _ string, recv func() ([]byte, error), send func([]byte) error) (uint32, string) {
					recv()
					if begun {
						send([]byte("begun"))
					}
					close(began)
					<-ctx.Done()
					_, err := recv()
					errs := []error{ctx.Err(), err, send([]byte("too late"))}
					ended <- errs
					return 0, ""
				})
				r := c.request(callOf("/own.Service/Watch").with("grpc-timeout", "10S"), false)
				c.data(r, message("x"), false)
				<-began
				if begun {
					c.await("a message", func() bool { return len(r.body) > 0 })
				}
				leave(g, c, r)
				select {
				case errs := <-ended:
					for i, err := range errs {
						if err == nil || errors.Is(err, io.EOF) {
							t.Errorf("error %d is %v", i, err)
						}
					}
				case <-time.After(patience):
					t.Fatal("the service is not told")
				}
				if name == "by a deadline" {
					c.wantStatus(r, "4")
					g.wantOutcome(0, dispatch.DeadlineExceeded)
				} else {
					g.wantEnded(0, dispatch.ClientGone, 499)
				}
			})
		}
	}
}

// TestOwnServiceWaitsForItsClient has a client take nothing of a stream.
func TestOwnServiceWaitsForItsClient(t *testing.T) {
	sent := make(chan int, 100)
	g := setup{services: map[string]Service{"own.Service": service(
		func(_ context.Context, _ string, _ func() ([]byte, error), send func([]byte) error) (uint32, string) {
			for i := range 10 {
				if send(make([]byte, 1000)) != nil {
					return 1, ""
				}
				sent <- i
			}
			close(sent)
			return 0, ""
		})}}.start(t, simple, unused(t))
	c := g.dial(window(2500))
	c.stingy = true
	r := c.request(callOf("/own.Service/Stream"), true)
	c.await("what it takes", func() bool { return len(r.body) == 2500 })
	if <-sent != 0 || <-sent != 1 || len(sent) != 0 {
		t.Error("more was sent than the client takes")
	}
	c.give(r.id, 100_000)
	c.wantStatus(r, "0")
	if len(r.body) != 10*1005 {
		t.Errorf("%d bytes came", len(r.body))
	}
	g.wantEnded(0, dispatch.Refused, 200)
}

// TestLocalAnswers are those that take long to make, such as the list of models.
func TestLocalAnswers(t *testing.T) {
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	g := setup{models: func(*dispatch.Exchange) *dispatch.Reply {
		asked <- struct{}{}
		<-answer
		return &dispatch.Reply{Status: 200, ContentType: "application/json", Body: []byte(`{"data":[]}`)}
	}}.start(t, simple, unused(t))
	c := g.dial()
	left := c.request(getOf("/v1/models"), true)
	<-asked
	c.cancel(left, errCancel)
	c.sync()
	answer <- struct{}{}
	g.wantEnded(0, dispatch.ClientGone, 499)
	r := c.request(getOf("/v1/models"), true)
	<-asked
	answer <- struct{}{}
	c.wantAnswer(r, "200", `{"data":[]}`)
	if end := g.wantEnded(1, dispatch.Refused, 200); end.code != "" {
		t.Errorf("the observer saw %+v", end)
	}
}
