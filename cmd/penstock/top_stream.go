package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/gateway/live"
)

const (
	// topSilence is how long a gateway may say nothing: it sends a snapshot every second.
	topSilence = 5 * time.Second
	// topMessage bounds a message. One of 1,000 endpoints has 0.2 MB.
	topMessage = 64 << 20
)

// watch reads what a gateway sends until there is an error, which may be yield's.
func watch(ctx context.Context, t *topFlags, yield func(message) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(topSilence, func() { cancel(fmt.Errorf("it has said nothing for %v", topSilence)) })
	defer silence.Stop()
	response, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(make([]byte, 64<<10), topMessage)
	name := ""
	for lines.Scan() {
		silence.Reset(topSilence)
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = event
		}
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		m, err := parseMessage(name, data)
		if err == nil {
			err = yield(m)
		}
		if err != nil {
			return err
		}
	}
	err = lines.Err()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil:
		err = errors.New("it has ended the stream")
	}
	return fmt.Errorf("cannot go on watching %s: %w", t.admin.Redacted(), err)
}

// open asks for the stream.
func (t *topFlags) open(ctx context.Context) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.admin.JoinPath("/debug/live").String(), nil)
	if err != nil {
		return nil, err
	}
	if t.token != "" {
		r.Header.Set("Authorization", "Bearer "+t.token)
	}
	response, err := t.client.Do(r)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("cannot watch %s: %w", t.admin.Redacted(), context.Cause(ctx))
	case err != nil:
		return nil, unreached(err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	why, _ := io.ReadAll(io.LimitReader(response.Body, 500))
	return nil, fmt.Errorf("cannot watch %s: %s", t.admin.Redacted(), refusal(response, strings.TrimSpace(string(why))))
}

// refusal says what an answer that is no stream means.
func refusal(response *http.Response, why string) string {
	switch response.StatusCode {
	case http.StatusUnauthorized:
		return "it wants other credentials: an admin token, which --token FILE or " + tokenVariable + " gives, or a client certificate (--cert, --key); it says: " + why
	case http.StatusNotFound:
		return "it has no /debug/live; --admin must be the admin port of a gateway"
	}
	return fmt.Sprintf("it answers %s: %s", response.Status, why)
}

func parseMessage(name string, data []byte) (m message, err error) {
	switch name {
	case "events":
		err = json.Unmarshal(data, &m.events)
	case "snapshot":
		m.snapshot = new(live.Snapshot)
		err = json.Unmarshal(data, m.snapshot)
	}
	if err != nil {
		err = fmt.Errorf("cannot read what the gateway sends: %w", err)
	}
	return m, err
}
