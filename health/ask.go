package health

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// ask probes b's target once over gRPC: with a Watch call, which goes on if it told the result, or with Check where Watch is not offered.
// Each time it is a fresh connection, for the reasons that Transports has.
func (p *Prober) ask(ctx context.Context, b *probe) (*watch, error) {
	limited, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	c, err := p.health.open(b.target)
	if err != nil {
		return nil, err
	}
	if !b.unwatchable {
		w, err := openWatch(ctx, limited, c, p.config.Service)
		switch {
		case err == nil:
			return w, p.judge(b.target, w.first)
		case status.Code(err) != codes.Unimplemented:
			c.Close()
			return nil, p.explainCall(limited, "cannot watch "+b.target.URL, err)
		}
	}
	defer c.Close()
	answer, err := c.client.Check(limited, p.request())
	// An endpoint that fails may come back as one that offers Watch.
	b.unwatchable = err == nil
	if err != nil {
		return nil, p.explainCall(limited, "cannot check "+b.target.URL, err)
	}
	return nil, p.judge(b.target, answer.Status)
}

func (p *Prober) request() *grpc_health_v1.HealthCheckRequest {
	return &grpc_health_v1.HealthCheckRequest{Service: p.config.Service}
}

// judge says what is wrong with a status, nil if it is SERVING.
func (p *Prober) judge(t Target, s grpc_health_v1.HealthCheckResponse_ServingStatus) error {
	switch {
	case s == grpc_health_v1.HealthCheckResponse_SERVING:
		return nil
	case p.config.Service == "":
		return fmt.Errorf("%s says that it is %v, want SERVING", t.URL, s)
	}
	return fmt.Errorf("%s says that service %q is %v, want SERVING", t.URL, p.config.Service, s)
}

// maxCause is how much of an endpoint's own message an error repeats, in characters.
const maxCause = 256

// explainCall names the timeout where that was the cause of a call's failure, and else the status. Servers know the timeout too, and
// theirs may come first.
func (p *Prober) explainCall(ctx context.Context, what string, err error) error {
	s := status.Convert(err)
	switch {
	case ctx.Err() != nil || s.Code() == codes.DeadlineExceeded:
		return fmt.Errorf("%s within %v: %w", what, p.config.Timeout, context.DeadlineExceeded)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: the endpoint ended the call", what)
	}
	return fmt.Errorf("%s: %v: %.*s", what, s.Code(), maxCause, s.Message())
}
