package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// rechunked is the body of n events in chunks of the given payload size, as a proxy may cut them.
func rechunked(n, size int) []byte {
	var b bytes.Buffer
	for part := range slices.Chunk(bytes.Repeat(eventData, n), size) {
		fmt.Fprintf(&b, "%X\r\n%s\r\n", len(part), part)
	}
	b.Write(lastChunk)
	return b.Bytes()
}

func TestEventDecoderTakesAnyCut(t *testing.T) {
	for _, size := range []int{1, 7, eventSize - 1, eventSize, eventSize + 1, 10 * eventSize} {
		for _, read := range []int{1, 3, 64, 1 << 20} {
			var d eventDecoder
			for part := range slices.Chunk(rechunked(10, size), read) {
				if err := d.feed(part, 0, nil); err != nil {
					t.Fatalf("chunks of %d, reads of %d: %v", size, read, err)
				}
			}
			if !d.done || d.events != 10 {
				t.Errorf("chunks of %d, reads of %d: done %v with %d events, want 10", size, read, d.done, d.events)
			}
		}
	}
}

func TestEventDecoderRefuses(t *testing.T) {
	whole := string(rechunked(2, eventSize))
	changed := []byte(whole)
	changed[100] ^= 1
	for name, c := range map[string]struct{ body, want string }{
		"changed byte":   {string(changed), "event 0 differs"},
		"lost byte":      {strings.Replace(whole, "token", "toke", 1), "differs"},
		"cut event":      {"96\r\n" + string(eventData) + "\r\n5\r\ndata:\r\n0\r\n\r\n", "5 bytes into an event"},
		"no chunk size":  {"\r\n", "breaks the chunked framing"},
		"no hex":         {"9z\r\n", "not part of a chunk size"},
		"huge size":      {"00000000096\r\n", "not part of a chunk size"},
		"bytes past end": {whole + "x", "after the end"},
		"bad stamp":      {strings.Replace(whole, "0000", "00G0", 1), "not part of its time stamp"},
	} {
		var d eventDecoder
		if err := d.feed([]byte(c.body), 0, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestEventDecoderTakesDelaysFromStamps(t *testing.T) {
	const sent = 1700000000123456789
	chunk := slices.Clone(eventChunk)
	stamp(chunk, sent)
	delays := newSamples(4)
	var d eventDecoder
	// The second event has no stamp.
	body := append(chunk, eventChunk...)
	for part := range slices.Chunk(body, 5) {
		if err := d.feed(part, sent+250, delays); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(delays.values, []int64{250}) {
		t.Errorf("delays are %v, want one of 250 ns", delays.values)
	}
}

func FuzzEventDecoder(f *testing.F) {
	f.Add(rechunked(2, 40), 3)
	f.Add([]byte("0\r\n\r\n"), 1)
	f.Add([]byte("96\r\ndata: "), 2)
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		var whole, parts eventDecoder
		wholeErr := whole.feed(body, 0, nil)
		var partsErr error
		for part := range slices.Chunk(body, max(cut, 1)) {
			if partsErr = parts.feed(part, 0, nil); partsErr != nil {
				break
			}
		}
		if (wholeErr == nil) != (partsErr == nil) || wholeErr == nil && whole != parts {
			t.Errorf("in one piece %+v, %v; in pieces of %d %+v, %v", whole, wholeErr, cut, parts, partsErr)
		}
	})
}
