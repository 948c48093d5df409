package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Control is the HTTP interface of a driver:
//
//	POST /start    begins to send; 409 if it sends already
//	POST /stop     sends nothing more, waits for what is underway, and answers with the report
//	POST /reset    begins a new counting period, and answers with the report of the one that ended
//	GET  /report   answers with the report so far
//	GET  /healthz  200
//	GET  /reach    200 if the target takes a connection now, else 503
func Control(d *Driver) http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST /start", func(w http.ResponseWriter, _ *http.Request) {
		if err := d.Start(); errors.Is(err, ErrRunning) {
			http.Error(w, err.Error(), http.StatusConflict)
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	m.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) {
		d.Stop(context.WithoutCancel(r.Context())) // who asked may leave, and the wait is bounded
		writeReport(w, d.Report())
	})
	m.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) { writeReport(w, d.Reset()) })
	m.HandleFunc("GET /report", func(w http.ResponseWriter, _ *http.Request) { writeReport(w, d.Report()) })
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	m.HandleFunc("GET /reach", func(w http.ResponseWriter, r *http.Request) {
		if err := d.Reach(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	return m
}

func writeReport(w http.ResponseWriter, r *Report) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(r) // fails only if who asked has left
}

// Remote is a driver that runs elsewhere, behind Control.
type Remote struct {
	// URL is where its control listens, such as http://127.0.0.1:9100.
	URL string
	// Client sends the requests; nil is http.DefaultClient.
	Client *http.Client
}

// Start begins to send.
func (c Remote) Start(ctx context.Context) error {
	_, err := c.ask(ctx, http.MethodPost, "/start")
	return err
}

// Stop sends nothing more, waits for what is underway, and returns the report.
func (c Remote) Stop(ctx context.Context) (*Report, error) {
	return c.report(ctx, http.MethodPost, "/stop")
}

// Reset begins a new counting period, and returns the report of the one that ended.
func (c Remote) Reset(ctx context.Context) (*Report, error) {
	return c.report(ctx, http.MethodPost, "/reset")
}

// Report returns the report so far.
func (c Remote) Report(ctx context.Context) (*Report, error) {
	return c.report(ctx, http.MethodGet, "/report")
}

func (c Remote) report(ctx context.Context, method, path string) (*Report, error) {
	body, err := c.ask(ctx, method, path)
	if err != nil {
		return nil, err
	}
	r := new(Report)
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("cannot read the report of %s: %w", c.URL, err)
	}
	return r, nil
}

func (c Remote) ask(ctx context.Context, method, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, nil)
	if err != nil {
		return nil, err
	}
	client := c.Client
	if client == nil {
		client = http.DefaultClient
	}
	w, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer of %s to %s %s: %w", c.URL, method, path, err)
	}
	if w.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot %s %s%s: status %d: %s", method, c.URL, path, w.StatusCode, strings.TrimSpace(string(body)))
	}
	return body, nil
}
