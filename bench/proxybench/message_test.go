package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestMessagesHaveTheirSizes(t *testing.T) {
	for name, c := range map[string]struct {
		got  []byte
		want int
	}{
		"JSON request body":   {jsonBody, bodySize},
		"stream request body": {streamBody, bodySize},
		"JSON response body":  {jsonReplyBody, replySize},
		"event":               {eventData, eventSize},
		"unary request":       {rpcs[kindUnary].request, messagePrefix + smallMessage},
		"large response":      {rpcs[kindLarge].response, messagePrefix + largeMessage},
		"server stream":       {rpcs[kindFlushed].response, streamMessages * (messagePrefix + smallMessage)},
		"event chunk":         {eventChunk, len("96\r\n") + eventSize + len("\r\n")},
	} {
		if len(c.got) != c.want {
			t.Errorf("%s has %d bytes, want %d", name, len(c.got), c.want)
		}
	}
	if !bytes.HasSuffix(eventData, []byte("\n\n")) {
		t.Errorf("event %q does not end with a blank line", eventData)
	}
}

func TestPlanTravelsInRequest(t *testing.T) {
	for _, want := range []plan{
		{Kind: kindPaced, Interval: 10000, Events: 300, Streams: 100, Index: 99},
		{Kind: kindBurst, Events: 2000, Streams: 8},
		{Kind: kindHold, Events: 1},
		{Kind: kindJSON},
	} {
		head, body, _ := bytes.Cut(want.request(), headEnd)
		got, err := parsePlan(head)
		if err != nil || got != want {
			t.Errorf("parsePlan of %+v = %+v, %v", want, got, err)
		}
		if !bytes.Equal(body, want.body()) {
			t.Errorf("the request of %+v has the body %q", want, body)
		}
	}
}

func TestParsePlanRefuses(t *testing.T) {
	for head, want := range map[string]string{
		"POST / HTTP/1.1\r\nhost: a":    "has no bench= marker",
		"x-bench: bench=paced,1,2,3,4":  "has no end",
		"x-bench: bench=paced,1,x;":     "cannot parse the marker",
		"x-bench: bench=slow,1,1,1,0;":  `the kind "slow" is none of`,
		"x-bench: bench=burst,0,0,1,0;": "has 0 events",
		"x-bench: bench=paced,9,1,4,4;": "an index below its number of streams",
	} {
		if _, err := parsePlan([]byte(head)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parsePlan(%q) = %v, want an error with %q", head, err, want)
		}
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add([]byte("x-bench: bench=paced,10000,300,100,7;\r\n"))
	f.Add([]byte("x-bench: bench=json,0,0,0,0;"))
	f.Add([]byte("bench=;"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if p, err := parsePlan(head); err == nil && p.Kind != kindJSON && p.validate() != nil {
			t.Errorf("parsePlan(%q) accepts %+v, which is invalid", head, p)
		}
	})
}
