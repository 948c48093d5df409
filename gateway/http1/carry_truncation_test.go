package http1

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestCarryNeverEndsATruncatedResponse(t *testing.T) {
	const byLength = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	tests := []struct {
		name, response, body string
		end                  func(*peer)
	}{
		{"FIN at a chunk boundary", chunkedHead + chunk("one"), "one", (*peer).close},
		{"RST at a chunk boundary", chunkedHead + chunk("one"), "one", (*peer).reset},
		{"FIN within a chunk", chunkedHead + "5\r\nhe", "he", (*peer).close},
		{"FIN within the last chunk's line", chunkedHead + chunk("hello") + "0\r\n", "hello", (*peer).close},
		{"FIN within the trailers", chunkedHead + chunk("hello") + "0\r\nX-Sum: 1\r\n", "hello", (*peer).close},
		{"FIN short of the length", byLength + "12345", "12345", (*peer).close},
		{"RST short of the length", byLength + "12345", "12345", (*peer).reset},
		{"RST in a body that ends with the connection", "HTTP/1.1 200 OK\r\n\r\n12345", "12345", (*peer).reset},
		{"FIN before the body", byLength, "", (*peer).close},
		{"FIN within the head", "HTTP/1.1 200 OK\r\nContent-", "", (*peer).close},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			c := bridgetest.NewClient(t, "")
			k := bridgetest.Carry(t, up, get("/x"), c)
			s := b.accept()
			s.head()
			s.send(test.response)
			if test.body != "" { // it is there before the end, which could overtake it
				c.AwaitText(test.body)
			}
			test.end(s)
			k.Ended(dispatch.UpstreamBroken, false)
			if c.Complete {
				t.Error("the response was ended as if it were complete")
			}
		})
	}
}

func TestCarriedUploadThatBreaksOffNeverLooksComplete(t *testing.T) {
	tests := []struct {
		name   string
		length int64
		sent   string
		end    error
	}{
		{"chunked, an error", -1, "one", errors.New("the client left")},
		{"by length, an error", 10, "12345", errors.New("the client left")},
		{"by length, too short", 10, "12345", io.EOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			c, w := bridgetest.NewUploader(t)
			k := bridgetest.Carry(t, up, postOf(test.length, false), c)
			s := b.accept()
			req, err := http.ReadRequest(s.r)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, test.sent)
			if _, err := io.ReadFull(req.Body, make([]byte, 2)); err != nil {
				t.Fatal(err)
			}
			w.CloseWithError(test.end)
			if _, err := io.ReadAll(req.Body); err == nil {
				t.Error("the backend saw a complete request")
			}
			k.Ended(dispatch.ClientGone, false)
		})
	}
}

func TestCarriedBodiesThatAreTooLongAreCut(t *testing.T) {
	for _, held := range []bool{true, false} {
		b := startBackend(t)
		up := startUpstream(t, b)
		k := bridgetest.Carry(t, up, postOf(4, held), bridgetest.NewClient(t, "bodyGET /smuggled HTTP/1.1\r\n\r\n"))
		if !held {
			if got, err := b.accept().rest(); err == nil {
				t.Errorf("the connection ended cleanly after %q", got)
			}
		}
		k.Ended(dispatch.ClientGone, false)
		b.idle()
	}
}

func TestHeldBodyThatIsTooShortReachesNobody(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	bridgetest.Carry(t, up, postOf(5, true), bridgetest.NewClient(t, "body")).Ended(dispatch.ClientGone, false)
	b.idle()
}
