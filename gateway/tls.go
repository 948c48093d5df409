package gateway

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/penstock/penstock/config"
)

// tlsSettings is how connections of the traffic port are secured. It is immutable; a change swaps it whole.
type tlsSettings struct {
	config         *tls.Config
	allowPlaintext bool
}

// settings returns what the certificates, as they are now, mean for connections.
func (cs *certificates) tlsSettings() *tlsSettings {
	return &tlsSettings{config: cs.config(), allowPlaintext: cs.settings.AllowPlaintext}
}

// loadTLS reads the listener's certificates; without TLS it returns nil.
func loadTLS(c *config.Config) (*certificates, error) {
	if c.TLS == nil {
		return nil, nil
	}
	return loadCertificates(c.TLS)
}

// handshake secures a connection within timeout (0 is none).
func handshake(c *net.TCPConn, config *tls.Config, timeout time.Duration) (*tls.Conn, error) {
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	secure := tls.Server(c, config)
	return secure, secure.HandshakeContext(ctx)
}

// plaintextRefusal answers HTTP on a port that takes TLS only, in the clear: it is all that such a client understands.
const plaintextRefusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 137\r\nConnection: close\r\n\r\n" +
	`{"error":{"message":"This port takes TLS only: use https:// in place of http://.","type":"invalid_request_error","code":"tls_required"}}` + "\n"

// refusalLinger is how long a refused client has to read its answer: closing at once, with its request unread, would reset the
// connection and might take the answer with it (RFC 9112, section 9.6).
const refusalLinger = time.Second

func refusePlaintext(c *net.TCPConn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(refusalLinger))
	if _, err := io.WriteString(c, plaintextRefusal); err != nil {
		return
	}
	c.CloseWrite()
	io.Copy(io.Discard, io.LimitReader(c, 1<<20))
}
