package instant

import (
	"errors"
	"strconv"
	"time"
)

// stream answers with a server-sent event for each token, at once or at the request's interval.
func (c *conn) stream(r *request, s *shape, tokens, prompt int, usage bool) error {
	b := append(c.out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"...)
	b = append(b, c.replica...)
	if r.close {
		b = append(b, "Connection: close\r\n"...)
	}
	// An HTTP/1.0 client does not know chunks: its answer ends with the connection.
	if !r.oldHTTP {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	b = append(b, "\r\n"...)
	if s.role != nil {
		b = r.appendChunk(b, s.role)
	}
	start := time.Now()
	for i := range tokens {
		if r.interval > 0 && i > 0 {
			if err := c.write(b); err != nil {
				return err
			}
			b = c.out
			if err := c.sleep(time.Until(start.Add(time.Duration(i) * r.interval))); err != nil {
				return err
			}
		}
		token := s.token
		if i+1 == tokens {
			token = s.last
		}
		b = r.appendChunk(b, token)
		if len(b) >= writeSize {
			if err := c.write(b); err != nil {
				return err
			}
			b = c.out
		}
	}
	return c.write(c.appendEnd(b, r, s, tokens, prompt, usage))
}

// appendEnd adds what follows the last token.
func (c *conn) appendEnd(b []byte, r *request, s *shape, tokens, prompt int, usage bool) []byte {
	if usage {
		c.body = append(c.body[:0], s.usage...)
		c.body = appendUsage(c.body, prompt, tokens)
		c.body = append(c.body, "}\n\n"...)
		b = r.appendChunk(b, c.body)
	}
	b = r.appendChunk(b, done)
	if !r.oldHTTP {
		b = append(b, "0\r\n\r\n"...)
	}
	return b
}

// appendChunk adds an event in the framing that the client understands.
func (r *request) appendChunk(b, event []byte) []byte {
	if r.oldHTTP {
		return append(b, event...)
	}
	b = strconv.AppendInt(b, int64(len(event)), 16)
	b = append(b, "\r\n"...)
	b = append(b, event...)
	return append(b, "\r\n"...)
}

var errClosing = errors.New("the server closes")

// sleep waits; it fails when the server is closed meanwhile.
func (c *conn) sleep(d time.Duration) error {
	if c.timer == nil {
		c.timer = time.NewTimer(d)
	} else {
		c.timer.Reset(d)
	}
	select {
	case <-c.timer.C:
		return nil
	case <-c.server.quit:
		return errClosing
	}
}
