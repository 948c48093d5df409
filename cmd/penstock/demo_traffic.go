package main

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/bench/mock"
)

const (
	// demoRate is how many requests a second the demo sends on average.
	demoRate = 3
	// demoUnderway bounds the requests that are underway, should the machine be too slow for the rate.
	demoUnderway = 64
)

// sendTraffic sends requests at random times to a gateway until ctx ends. Every second one is streamed.
func sendTraffic(ctx context.Context, gateway string) {
	transport := &http.Transport{MaxIdleConnsPerHost: demoUnderway}
	defer transport.CloseIdleConnections()
	var underway sync.WaitGroup
	defer underway.Wait()
	free := make(chan struct{}, demoUnderway)
	for streamed := false; ; streamed = !streamed {
		select {
		case <-time.After(time.Duration(rand.ExpFloat64() / demoRate * float64(time.Second))):
		case <-ctx.Done():
			return
		}
		select {
		case free <- struct{}{}:
			underway.Go(func() {
				ask(ctx, transport, gateway, streamed)
				<-free
			})
		case <-ctx.Done():
			return
		}
	}
}

// demoQuestion is part of every prompt, as system prompts are.
const demoQuestion = "You are a helpful assistant. Answer in plain words and be brief. "

// ask sends one chat request and reads its answer. What goes wrong shows in the gateway's metrics.
func ask(ctx context.Context, transport http.RoundTripper, gateway string, streamed bool) {
	prompt := demoQuestion + strings.Repeat("Tell me more about water power. ", 1+rand.IntN(60))
	question := map[string]any{
		"model":      mock.DefaultOptions.Models[0],
		"stream":     streamed,
		"max_tokens": 16 + rand.IntN(240),
		"messages":   []map[string]string{{"role": "user", "content": prompt}},
	}
	if streamed {
		question["stream_options"] = map[string]bool{"include_usage": true}
	}
	body, err := json.Marshal(question)
	if err != nil {
		panic("BUG: a request cannot be encoded: " + err.Error())
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, gateway+"/v1/chat/completions", strings.NewReader(string(body)))
	if err != nil {
		return
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
}
