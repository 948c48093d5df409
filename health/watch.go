package health

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

type servingStatus = grpc_health_v1.HealthCheckResponse_ServingStatus

// watch is a Watch call that goes on, on a connection of its own.
type watch struct {
	connection *connection
	ctx        context.Context // the call's
	cancel     context.CancelFunc
	stream     grpc.ServerStreamingClient[grpc_health_v1.HealthCheckResponse]
	first      servingStatus
	statuses   chan servingStatus // those after the first; closed at the end of the call
	err        error              // why it ended; set before statuses is closed
	running    sync.WaitGroup
}

// openWatch begins a Watch call, whose first message must have come before limited ends. On error c is left as it is.
func openWatch(ctx, limited context.Context, c *connection, service string) (*watch, error) {
	w := &watch{connection: c, statuses: make(chan servingStatus)}
	w.ctx, w.cancel = context.WithCancel(ctx)
	stop := context.AfterFunc(limited, w.cancel)
	err := w.begin(service)
	if !stop() && err == nil {
		err = limited.Err()
	}
	if err != nil {
		w.cancel()
		return nil, err
	}
	w.running.Go(w.receive)
	return w, nil
}

func (w *watch) begin(service string) (err error) {
	if w.stream, err = w.connection.client.Watch(w.ctx, &grpc_health_v1.HealthCheckRequest{Service: service}); err != nil {
		return err
	}
	m, err := w.stream.Recv()
	if err != nil {
		return err
	}
	w.first = m.Status
	return nil
}

func (w *watch) receive() {
	defer close(w.statuses)
	for {
		m, err := w.stream.Recv()
		if err != nil {
			w.err = err
			return
		}
		select {
		case w.statuses <- m.Status:
		case <-w.ctx.Done():
			w.err = w.ctx.Err()
			return
		}
	}
}

// close ends the call and its connection.
func (w *watch) close() {
	w.cancel()
	w.running.Wait()
	w.connection.Close()
}

// sign is what came of looking for a sign of life.
type sign struct {
	started time.Time
	err     error
}

// errSpent says that a Watch call has to move to another connection, which is nobody's failure.
var errSpent = errors.New("the connection takes no more calls")

// follow takes in what a Watch call says until it ends, and returns how long to wait before the next probe. Each message is the
// endpoint's own word, which holds at once. As a silent endpoint may have hung, it is asked for a sign of life after pause and then in
// each interval; that is a probe whose answer is the last message.
func (p *Prober) follow(ctx context.Context, b *probe, w *watch, pause time.Duration) (delay time.Duration) {
	defer w.close()
	began, last := time.Now(), w.first
	signs := make(chan sign, 1)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0
		case s, ok := <-w.statuses:
			if !ok {
				return p.watchEnded(ctx, b, w, began)
			}
			last = s
			p.take(ctx, b, time.Now(), p.judge(b.target, last), true)
		case <-timer.C:
			w.running.Go(func() { signs <- p.seekSign(b.target, w) })
		case s := <-signs:
			switch s.err {
			case errSpent:
				return 0
			case nil:
				p.take(ctx, b, s.started, p.judge(b.target, last), false)
				timer.Reset(jittered(p.config.Interval))
			default:
				p.take(ctx, b, s.started, s.err, false)
				return jittered(p.config.Interval)
			}
		}
	}
}

// watchEnded takes in that a Watch call has ended. After an interval that is nothing yet, as servers and what is between them and us
// end old calls: the next probe, at once, tells. A call that ends sooner is a failed probe.
func (p *Prober) watchEnded(ctx context.Context, b *probe, w *watch, began time.Time) (delay time.Duration) {
	now := time.Now()
	if now.Sub(began) >= p.config.Interval {
		return 0
	}
	p.take(ctx, b, now, p.explainCall(ctx, "cannot go on watching "+b.target.URL, w.err), false)
	return jittered(p.config.Interval)
}

// seekSign asks an endpoint for a sign of life on the connection of its Watch call. Check is what every server has that has Watch; that
// it knows no such method or service is as good an answer.
func (p *Prober) seekSign(t Target, w *watch) sign {
	if !p.acquire(w.ctx) {
		return sign{time.Now(), w.ctx.Err()}
	}
	defer p.release()
	started := time.Now()
	if w.connection.spent() {
		return sign{started, errSpent}
	}
	limited, cancel := context.WithTimeout(w.ctx, p.config.Timeout)
	defer cancel()
	_, err := w.connection.client.Check(limited, p.request())
	switch status.Code(err) {
	case codes.OK, codes.NotFound, codes.Unimplemented:
		return sign{started, nil}
	}
	if limited.Err() == nil && w.connection.spent() {
		return sign{started, errSpent}
	}
	return sign{started, p.explainCall(limited, t.URL+" is silent: cannot check it", err)}
}
