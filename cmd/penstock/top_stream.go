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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(topSilence, cancel)
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
	if err == nil {
		err = errors.New("it has ended the stream")
	}
	return fmt.Errorf("cannot go on watching %s: %w", t.admin, err)
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
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the gateway's admin port: %w; --admin says where it is", err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	why, _ := io.ReadAll(io.LimitReader(response.Body, 500))
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("cannot watch %s: it wants another admin token; --token FILE or %s gives one", t.admin, tokenVariable)
	case http.StatusNotFound:
		return nil, fmt.Errorf("cannot watch %s: it has no /debug/live; --admin must be the admin port of a gateway", t.admin)
	}
	return nil, fmt.Errorf("cannot watch %s: it answers %s: %s", t.admin, response.Status, strings.TrimSpace(string(why)))
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
