package instant

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
)

// tape is a connection whose client has sent everything already, in pieces of a given size.
type tape struct {
	net.Conn // for the methods that are not called
	in       []byte
	piece    int
	out      []byte
}

func (c *tape) Read(b []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), c.piece)], c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *tape) Write(b []byte) (int, error) {
	c.out = append(c.out, b...)
	return len(b), nil
}

// tapeServer is a server whose connections need no listener.
func tapeServer() *Server {
	s := newServer()
	s.quit = make(chan struct{})
	close(s.quit) // paced streams end at their first pause
	s.templates = newTemplates(s.Model)
	return s
}

// Whatever a client sends, the answers are well-formed, and how the bytes are cut does not matter.
func FuzzConn(f *testing.F) {
	f.Add([]byte(post(chat, "", whole5)+post(chat, "", stream5)), uint16(7))
	f.Add([]byte("POST "+chat+" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\n{}\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n"), uint16(1))
	f.Add([]byte("POST "+chat+" HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}"), uint16(3))
	f.Add([]byte(post(chat, "x-mock-interval: 1s\r\n", stream5)), uint16(50))
	f.Add([]byte("GET / HTTP/1.1\r\n: \r\n\r\n"), uint16(50))
	f.Fuzz(func(t *testing.T, in []byte, piece uint16) {
		if bytes.Contains(in, []byte("max_")) && len(in) > 1000 {
			return // long answers are slow and teach nothing
		}
		s := tapeServer()
		whole := &tape{in: in, piece: len(in) + 1}
		newConn(s, whole).serve()
		parts := &tape{in: in, piece: int(piece) + 1}
		newConn(s, parts).serve()
		if !bytes.Equal(whole.out, parts.out) {
			t.Fatalf("in one piece\n%q\nin pieces of %d\n%q", whole.out, piece+1, parts.out)
		}
		for r := bufio.NewReader(bytes.NewReader(whole.out)); ; {
			response, err := http.ReadResponse(r, nil)
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("%q: %v", whole.out, err)
			}
			if response.StatusCode == http.StatusContinue {
				continue
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil && response.StatusCode != http.StatusOK {
				t.Fatalf("%q: %v", whole.out, err)
			}
		}
	})
}
