package instant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock/bench/mock/lifecycle"
)

const (
	maxHead   = 64 << 10 // the largest head of a request
	maxTokens = 131072   // the longest answer
	keepSpace = 1 << 20  // a buffer larger than this is given up after its request
	writeSize = 64 << 10 // how much of a burst is written at once

	lingerTime  = 500 * time.Millisecond // how long a refused client may go on sending
	lingerBytes = 64 << 20               // and how much
)

// conn is a connection and its buffers.
type conn struct {
	server  *Server
	net     net.Conn
	replica string // the header lines that say who answers
	space   []byte // what in is a window of
	in      []byte // read and not yet consumed
	body    []byte // a chunked request's body; the JSON of an answer
	out     []byte
	timer   *time.Timer
}

func newConn(s *Server, c net.Conn) *conn {
	name := s.Replica
	if name == "" {
		name = c.LocalAddr().String()
	}
	lines := "x-mock-replica: " + name + "\r\n"
	if s.Label != "" {
		lines += "x-mock-label: " + s.Label + "\r\n"
	}
	return &conn{server: s, net: c, replica: lines, space: make([]byte, 0, 4096)}
}

// failure is an error that the client is told before the connection is closed.
type failure struct {
	status  int
	message string
}

func (f *failure) Error() string { return f.message }

// serve answers requests until the client leaves or one says that it is the last.
func (c *conn) serve() {
	for {
		again, err := c.exchange()
		if err != nil {
			c.fail(err)
			return
		}
		if !again {
			return
		}
		if cap(c.space) > keepSpace && len(c.in) == 0 {
			c.space, c.in = make([]byte, 0, 4096), nil
		}
	}
}

// fail tells the client why its connection ends, if the client is at fault.
func (c *conn) fail(err error) {
	var f *failure
	if !errors.As(err, &f) {
		return
	}
	message, err := json.Marshal(f.message)
	if err != nil {
		panic("BUG: cannot encode a message: " + err.Error())
	}
	body := fmt.Appendf(nil, `{"error":{"message":%s,"type":"invalid_request_error","param":null,"code":null}}`, message)
	if c.write(c.appendAnswer(c.out[:0], true, f.status, "application/json", body)) != nil {
		return
	}
	// Closing with unread bytes would reset the connection, and the client might never see the answer.
	if tcp, ok := c.net.(*net.TCPConn); ok {
		tcp.CloseWrite()
		tcp.SetReadDeadline(time.Now().Add(lingerTime))
		io.CopyN(io.Discard, tcp, lingerBytes)
	}
}

// exchange reads one request and answers it.
func (c *conn) exchange() (again bool, err error) {
	r, err := c.readHead()
	if err != nil {
		return false, err
	}
	body, consumed, err := c.readBody(&r)
	if err != nil {
		return false, err
	}
	c.out = c.out[:0]
	r.close = r.close || c.server.Life.Draining()
	if r.path == pathPage {
		status, kind, page := c.server.Page(r.page)
		err = c.write(c.appendAnswer(c.out, r.close, status, kind, page))
	} else {
		err = c.answer(&r, body)
	}
	c.consume(consumed)
	return !r.close, err
}

var loading = []byte(`{"error":{"message":"` + lifecycle.LoadingMessage + `","type":"server_error","param":null,"code":"model_loading"}}`)

// answer runs a request that wants a model.
func (c *conn) answer(r *request, body []byte) error {
	if r.path == pathUnknown {
		return &failure{http.StatusNotFound, "there is nothing at this path for this method in instant mode"}
	}
	o := scan(body, c.server.MaxTokens)
	if o.tokens < 1 || o.tokens > maxTokens {
		return &failure{http.StatusBadRequest, "max_tokens must be 1 to " + strconv.Itoa(maxTokens)}
	}
	if c.server.Life.Loading() {
		return c.write(c.appendAnswer(c.out, r.close, http.StatusServiceUnavailable, "application/json", loading))
	}
	c.server.started.Add(1)
	prompt := max(1, len(body)/4)
	t := c.server.templates
	var err error
	switch {
	case r.path == pathEmbeddings:
		err = c.write(c.appendAnswer(c.out, r.close, http.StatusOK, "application/json", t.embedding))
	case r.path == pathInfer:
		err = c.write(c.appendAnswer(c.out, r.close, http.StatusOK, "application/json", t.infer))
	default:
		shape := &t.chat
		if r.path == pathCompletions {
			shape = &t.completion
		}
		if o.stream {
			err = c.stream(r, shape, o.tokens, prompt, o.usage)
		} else {
			err = c.write(c.appendWhole(r, shape, o.tokens, prompt))
		}
	}
	if err != nil {
		c.server.cancelled.Add(1)
	} else {
		c.server.finished.Add(1)
	}
	return err
}

func (c *conn) appendWhole(r *request, s *shape, tokens, prompt int) []byte {
	b := append(c.body[:0], s.open...)
	for range tokens {
		b = append(b, word...)
	}
	b = append(b, s.mid...)
	b = appendUsage(b, prompt, tokens)
	b = append(b, '}')
	c.body = b
	return c.appendAnswer(c.out, r.close, http.StatusOK, "application/json", b)
}

func (c *conn) appendAnswer(b []byte, close bool, status int, kind string, body []byte) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\nContent-Type: "...)
	b = append(b, kind...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n"...)
	b = append(b, c.replica...)
	if close {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, body...)
}

// write sends b and keeps its space for the next answer.
func (c *conn) write(b []byte) error {
	_, err := c.net.Write(b)
	c.out = b[:0]
	if cap(b) > keepSpace {
		c.out = nil
	}
	return err
}

// readHead reads the next request's head.
func (c *conn) readHead() (request, error) {
	for seen := 0; ; {
		if i := bytes.Index(c.in[seen:], []byte("\r\n\r\n")); i >= 0 {
			r, err := parseHead(c.in[:seen+i])
			c.consume(seen + i + 4)
			if err != nil {
				return r, &failure{http.StatusBadRequest, err.Error()}
			}
			return r, nil
		}
		if len(c.in) > maxHead {
			return request{}, &failure{http.StatusRequestHeaderFieldsTooLarge, "the request's head is too large"}
		}
		seen = max(0, len(c.in)-3)
		if err := c.read(); err != nil {
			return request{}, err
		}
	}
}

// readBody reads the request's body. The slice is valid until consume is called with the number that comes with it.
func (c *conn) readBody(r *request) (body []byte, consumed int, err error) {
	if r.length > c.server.MaxBodyBytes {
		return nil, 0, c.tooLarge()
	}
	if r.expect && !r.oldHTTP && (r.chunked || r.length > len(c.in)) {
		if err := c.write(append(c.out[:0], "HTTP/1.1 100 Continue\r\n\r\n"...)); err != nil {
			return nil, 0, err
		}
	}
	if r.chunked {
		body, err := c.readChunks()
		return body, 0, err
	}
	for len(c.in) < r.length {
		if err := c.read(); err != nil {
			return nil, 0, err
		}
	}
	return c.in[:r.length], r.length, nil
}

func (c *conn) tooLarge() error {
	return &failure{http.StatusRequestEntityTooLarge, "the body is larger than " + strconv.Itoa(c.server.MaxBodyBytes) + " bytes"}
}

// readChunks reads a chunked body (RFC 9112, section 7.1) and drops its extensions and trailers.
func (c *conn) readChunks() ([]byte, error) {
	c.body = c.body[:0]
	for {
		line, err := c.readLine()
		if err != nil {
			return nil, err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 31)
		if err != nil {
			return nil, &failure{http.StatusBadRequest, "a chunk's size is malformed"}
		}
		if n == 0 {
			break
		}
		if len(c.body)+int(n) > c.server.MaxBodyBytes {
			return nil, c.tooLarge()
		}
		for len(c.in) < int(n)+2 {
			if err := c.read(); err != nil {
				return nil, err
			}
		}
		c.body = append(c.body, c.in[:n]...)
		if !bytes.Equal(c.in[n:n+2], crlf) {
			return nil, &failure{http.StatusBadRequest, "a chunk does not end with its line"}
		}
		c.consume(int(n) + 2)
	}
	for {
		line, err := c.readLine()
		if err != nil || len(line) == 0 {
			return c.body, err
		}
	}
}

// readLine reads a line; it is valid until the next read.
func (c *conn) readLine() ([]byte, error) {
	for {
		if i := bytes.Index(c.in, crlf); i >= 0 {
			line := c.in[:i]
			c.in = c.in[i+2:]
			return line, nil
		}
		if len(c.in) > maxHead {
			return nil, &failure{http.StatusBadRequest, "a line of the body's framing is too long"}
		}
		if err := c.read(); err != nil {
			return nil, err
		}
	}
}

// consume drops n bytes from the front.
func (c *conn) consume(n int) { c.in = c.in[n:] }

// read reads more into the buffer, after moving what is in it to the front where that makes room.
func (c *conn) read() error {
	if len(c.in) == cap(c.in) {
		if len(c.in) == cap(c.space) {
			c.space = make([]byte, 0, max(4096, 2*cap(c.space)))
		}
		c.in = c.space[:copy(c.space[:len(c.in)], c.in)]
	} else if len(c.in) == 0 {
		c.in = c.space
	}
	n, err := c.net.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}
