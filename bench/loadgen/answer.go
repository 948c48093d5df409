package loadgen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/gateway/openai"
)

// answer is the reading of one response.
type answer struct {
	run      *run
	sample   *report.Sample
	measured bool // the request is after the warmup
	usage    openai.UsageScan
	done     bool // [DONE] came
	refused  bool // an error came in the stream
}

// endpointHeaders name who answered: the gateway's choice, or a mock replica itself.
var endpointHeaders = []string{"X-Penstock-Endpoint", "X-Mock-Replica"}

// receive sends the request and reads all of its answer.
func (a *answer) receive(ctx context.Context, transport http.RoundTripper, request *http.Request) report.Outcome {
	response, err := transport.RoundTrip(request)
	if err != nil {
		return outcomeOf(ctx, err, false)
	}
	defer response.Body.Close()
	a.sample.Code = int16(response.StatusCode)
	for _, name := range endpointHeaders {
		if value := response.Header[name]; len(value) > 0 {
			a.sample.Endpoint = a.run.endpoints.number(value[0])
			break
		}
	}
	if response.StatusCode != http.StatusOK {
		const most = 64 << 10 // a connection with more to come is not worth keeping
		io.Copy(io.Discard, io.LimitReader(response.Body, most))
		return report.Status
	}
	streamed := !a.run.options.Whole
	if streamed != isStream(response.Header) {
		return report.Invalid
	}
	a.usage.Reset(streamed)
	buffer := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(buffer)
	if streamed {
		err = a.readStream(response.Body, buffer)
	} else {
		err = a.readWhole(response.Body, *buffer)
	}
	if u := &a.usage.Usage; u.Known {
		a.sample.PromptTokens, a.sample.CachedTokens, a.sample.OutputTokens = int32(u.PromptTokens), int32(u.CachedTokens), int32(u.CompletionTokens)
	}
	switch {
	case err != nil:
		return outcomeOf(ctx, err, true)
	case a.refused:
		return report.Refused
	case streamed && !a.done:
		return report.Truncated
	}
	return report.OK
}

func isStream(h http.Header) bool {
	const eventStream = "text/event-stream"
	value := h.Get("Content-Type")
	if value == eventStream {
		return true
	}
	media, _, err := mime.ParseMediaType(value)
	return err == nil && strings.EqualFold(media, eventStream)
}

// errLongLine is for streams that no buffer holds a line of.
var errLongLine = errors.New("a line of the stream is too long")

const (
	readBuffer = 8 << 10
	maxLine    = 1 << 20
)

var readBuffers = sync.Pool{New: func() any { b := make([]byte, readBuffer); return &b }}

// readStream reads server-sent events to the end of the body.
func (a *answer) readStream(body io.Reader, buffer *[]byte) error {
	b := *buffer
	held := 0 // bytes of an unfinished line at the buffer's beginning
	for {
		if held == len(b) {
			if held >= maxLine {
				return errLongLine
			}
			b = append(b, make([]byte, len(b))...) // the pooled buffer stays small
		}
		n, err := body.Read(b[held:])
		if n > 0 {
			now := a.run.since()
			a.usage.Feed(b[held : held+n])
			rest := a.lines(b[:held+n], held, now)
			held = copy(b, rest)
		}
		if err == io.EOF {
			a.line(b[:held], a.run.since())
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// lines takes the whole lines of p, of which the first searched bytes have no line end, and returns the rest.
func (a *answer) lines(p []byte, searched int, now time.Duration) []byte {
	for {
		i := bytes.IndexByte(p[searched:], '\n')
		if i < 0 {
			return p
		}
		a.line(p[:searched+i], now)
		p, searched = p[searched+i+1:], 0
	}
}

var (
	dataField = []byte("data:")
	doneData  = []byte("[DONE]")
	errorData = []byte(`{"error"`)
)

// line takes one line of the stream.
func (a *answer) line(line []byte, now time.Duration) {
	data, ok := bytes.CutPrefix(line, dataField)
	if !ok {
		return
	}
	data = bytes.TrimLeft(data, " ")
	switch {
	case bytes.HasPrefix(data, doneData):
		a.done = true
	case bytes.HasPrefix(data, errorData):
		a.refused = true
	case hasText(data):
		a.piece(now)
	}
}

// piece notes that text came.
func (a *answer) piece(now time.Duration) {
	s := a.sample
	s.Pieces++
	if s.Pieces == 1 {
		s.First, s.Last = now, now
		if a.measured {
			a.run.ttft.Record(now - s.At)
		}
		return
	}
	gap := now - s.Last
	s.Last = now
	s.MaxGap = max(s.MaxGap, gap)
	if a.measured {
		a.run.gaps.Record(gap)
	}
}

// textKeys are the keys whose strings are text that a model made: of chats, completions and models that reason.
var textKeys = [][]byte{[]byte(`"content"`), []byte(`"text"`), []byte(`"reasoning_content"`), []byte(`"reasoning"`), []byte(`"arguments"`)}

// hasText says whether an event has text that is not empty. Within a JSON string every quote has a backslash before it, so text that
// speaks of keys is not taken for one.
func hasText(data []byte) bool {
	for _, key := range textKeys {
		for rest := data; ; {
			i := bytes.Index(rest, key)
			if i < 0 {
				break
			}
			rest = bytes.TrimLeft(rest[i+len(key):], " ")
			if len(rest) == 0 || rest[0] != ':' {
				continue
			}
			rest = bytes.TrimLeft(rest[1:], " ")
			if len(rest) > 1 && rest[0] == '"' && rest[1] != '"' {
				return true
			}
		}
	}
	return false
}

// readWhole reads a body that is not a stream.
func (a *answer) readWhole(body io.Reader, b []byte) error {
	for {
		n, err := body.Read(b)
		a.usage.Feed(b[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// outcomeOf is the outcome that an error makes, of a request whose answer had begun or had not.
func outcomeOf(ctx context.Context, err error, begun bool) report.Outcome {
	var dial *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return report.Timeout
	case ctx.Err() != nil:
		return report.Cancelled
	case errors.As(err, &dial) && dial.Op == "dial":
		return report.Connect
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return report.Reset
	case errors.Is(err, io.ErrUnexpectedEOF) && begun:
		return report.Truncated
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return report.Closed
	case !begun && closedWhenIdle(err):
		return report.Closed
	}
	return report.Invalid
}

// closedWhenIdle says whether a connection that was used again turned out to be closed: by the transport, which had noticed, or else by the
// server. For that the transport has no errors to compare with; the second is of a request whose sending had begun, which it does not
// send again.
func closedWhenIdle(err error) bool {
	text := err.Error()
	return errors.Is(err, net.ErrClosed) || strings.Contains(text, "server closed idle connection") || strings.Contains(text, "cannot rewind body after connection loss")
}
