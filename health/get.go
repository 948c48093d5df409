package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// maxBody is how much of a probe's answer is read, in bytes. What is longer is cut off, and is a success all the same.
const maxBody = 64 << 10

// userAgent is what probes call themselves.
const userAgent = "penstock-probe"

// get probes t once; nil is a success.
func (p *Prober) get(ctx context.Context, t Target) error {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	scheme, host, err := t.parts()
	if err != nil {
		return err
	}
	address := strings.Replace(scheme, "h2c", "http", 1) + "://" + host + "/" + strings.TrimPrefix(p.config.Path, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("cannot make a probe for %s: %w", address, err)
	}
	request.Header.Set("User-Agent", userAgent)
	// The transport by itself follows no redirect.
	response, err := p.transport.of(scheme).RoundTrip(request)
	if err != nil {
		return p.explain(ctx, "cannot get "+address, err)
	}
	defer response.Body.Close()
	if _, err := io.CopyN(io.Discard, response.Body, maxBody); err != nil && err != io.EOF {
		return p.explain(ctx, "cannot read the response of "+address, err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("%s answered %s, want 200 to 299", address, response.Status)
	}
	return nil
}

// explain names the timeout where that was the cause, which transports report in many words.
func (p *Prober) explain(ctx context.Context, what string, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s within %v: %w", what, p.config.Timeout, context.DeadlineExceeded)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// parts returns the scheme and the host:port of t's URL.
func (t Target) parts() (scheme, host string, err error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return "", "", fmt.Errorf("cannot probe %s: %w", t.Name, err)
	}
	switch u.Scheme {
	case "http", "https", "h2c":
	default:
		return "", "", fmt.Errorf("cannot probe %s: its URL %q must begin with http://, https:// or h2c://", t.Name, t.URL)
	}
	if u.Host == "" {
		return "", "", fmt.Errorf("cannot probe %s: its URL %q has no host", t.Name, t.URL)
	}
	return u.Scheme, u.Host, nil
}

// Transports returns what makes a transport for NewProber: TLS with the configuration given (nil is the default), HTTP/2 without TLS for
// h2c, a fresh connection for every probe, no proxy and no decompression. A fresh connection probes what a new request would meet; a kept
// one would outlive a listener that has gone, or be closed by the endpoint just when a probe is sent.
func Transports(config *tls.Config) func(scheme string) http.RoundTripper {
	return func(scheme string) http.RoundTripper {
		t := &http.Transport{
			DialContext:            (&net.Dialer{}).DialContext,
			TLSClientConfig:        config.Clone(),
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxBody,
			Protocols:              new(http.Protocols),
		}
		switch scheme {
		case "h2c":
			t.Protocols.SetUnencryptedHTTP2(true)
		case "https":
			t.Protocols.SetHTTP1(true)
			t.Protocols.SetHTTP2(true)
		default:
			t.Protocols.SetHTTP1(true)
		}
		return t
	}
}

// transports keeps one transport for each scheme.
type transports struct {
	make func(scheme string) http.RoundTripper

	mu       sync.Mutex
	byScheme map[string]http.RoundTripper
}

func (t *transports) of(scheme string) http.RoundTripper {
	t.mu.Lock()
	defer t.mu.Unlock()
	if made := t.byScheme[scheme]; made != nil {
		return made
	}
	if t.byScheme == nil {
		t.byScheme = make(map[string]http.RoundTripper)
	}
	made := t.make(scheme)
	t.byScheme[scheme] = made
	return made
}

// close closes the connections that transports keep.
func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, made := range t.byScheme {
		if c, ok := made.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}
