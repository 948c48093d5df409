package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/penstock/penstock/balancer"
)

// Target is an endpoint whose load is read.
type Target struct {
	// Endpoint is where what was read goes to. There is one target for each.
	Endpoint *balancer.Endpoint
	// URL is that of the metrics, with the scheme http, https or h2c (HTTP/2 without TLS).
	URL string
	// TLS is for https; nil is the default.
	TLS *tls.Config
}

const (
	// userAgent is what polls call themselves.
	userAgent = "penstock-load"
	// accept keeps servers from the formats that are not read here.
	accept = "text/plain;version=0.0.4,text/plain;q=0.5,*/*;q=0.1"
	// maxHead is how much of a response's head is read, in bytes.
	maxHead = 64 << 10
	// maxRest is how much of the body of an answer that is of no use is read, in bytes, so that the connection can be kept.
	maxRest = 64 << 10
	// keepFor is how many of the longest pauses a connection is kept idle, so that it lasts from one poll to the next.
	keepFor = 2
)

// newTransport makes the one connection of a target, which is kept from poll to poll. No proxy stands between, and nothing is compressed,
// as that would cost the model server more than it saves. Connecting ends with the poll that it was for: as there is no other connection, what
// hangs would hold up the polls after it.
func newTransport(t Target, c *Config) http.RoundTripper {
	transport := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: c.Timeout}).DialContext,
		TLSHandshakeTimeout:    c.Timeout,
		TLSClientConfig:        t.TLS.Clone(),
		DisableCompression:     true,
		MaxIdleConnsPerHost:    1,
		MaxConnsPerHost:        1,
		IdleConnTimeout:        keepFor * max(c.Interval, maxPause),
		MaxResponseHeaderBytes: maxHead,
		WriteBufferSize:        1 << 10,
		Protocols:              new(http.Protocols),
	}
	switch scheme, _, _ := strings.Cut(t.URL, "://"); scheme {
	case "h2c":
		transport.Protocols.SetUnencryptedHTTP2(true)
	case "https":
		transport.Protocols.SetHTTP1(true)
		transport.Protocols.SetHTTP2(true)
	default:
		transport.Protocols.SetHTTP1(true)
	}
	return transport
}

// newRequest makes the request that each poll of t sends.
func newRequest(t Target) (*http.Request, error) {
	address := t.URL
	if rest, ok := strings.CutPrefix(address, "h2c://"); ok {
		address = "http://" + rest
	}
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot poll %s: %w", t.Endpoint.Name, err)
	}
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("Accept", accept)
	return r, nil
}

// get polls once: it reads the page and publishes what that says.
func (p *poll) get(ctx context.Context, c *Config) error {
	if p.request == nil {
		var err error
		if p.request, err = newRequest(p.target); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	response, err := p.transport.RoundTrip(p.request.WithContext(limited))
	if err != nil {
		return explain(limited, c, "cannot get "+p.target.URL, err)
	}
	defer response.Body.Close()
	now, inFlight := c.Now(), p.target.Endpoint.InFlight()
	if response.StatusCode != http.StatusOK {
		io.CopyN(io.Discard, response.Body, maxRest)
		return fmt.Errorf("%s answered %s, want 200", p.target.URL, response.Status)
	}
	t := tallies.Get().(*tally)
	defer tallies.Put(t)
	t.reset(p.engine)
	if err := t.read(response.Body); err != nil {
		return explain(limited, c, "cannot read "+p.target.URL, err)
	}
	if !t.says() {
		return fmt.Errorf("%s has no metrics of %s: want %s", p.target.URL, c.Engine, p.engine.names())
	}
	if ctx.Err() != nil {
		return ctx.Err() // the endpoint is somebody else's by now
	}
	s := t.signals(p.target.Endpoint.Signals(), &p.history, now)
	s.InFlight = inFlight
	p.target.Endpoint.SetSignals(s)
	return nil
}

// fail publishes that a poll failed. What was read before stays, and grows old.
func (p *poll) fail(err error) {
	s := new(balancer.Signals)
	if known := p.target.Endpoint.Signals(); known != nil {
		*s = *known
	}
	s.Failure = err.Error()
	p.target.Endpoint.SetSignals(s)
}

// explain names the timeout where that was the cause, which transports report in many words.
func explain(ctx context.Context, c *Config, what string, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s within %v: %w", what, c.Timeout, context.DeadlineExceeded)
	}
	return fmt.Errorf("%s: %w", what, err)
}
