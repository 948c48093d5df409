package http1

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

// A chunk of one byte may take many bytes of framing, and these are held with it while the model is looked for.
func TestFramingCountsTowardsWhatIsHeld(t *testing.T) {
	b, g, c := start(t, byModel+"limits: {heldBodyBytes: 4KiB}\n")
	head := strings.Replace(uploadHead, "\r\n\r\n", "\r\nContent-Type: application/json\r\n\r\n", 1)
	const payload = 3 << 10 // less than may be held
	c.send(head + chunk(`{"prompt":"`) + strings.Repeat("00000000000001\r\nx\r\n", payload))
	if res, body := c.response("POST"); res.StatusCode != 413 || !strings.Contains(body, "model_not_found_in_body") || !res.Close {
		t.Errorf("got %d %s (close: %v), want 413 model_not_found_in_body and close", res.StatusCode, body, res.Close)
	}
	g.wantEnded(0, dispatch.Refused, 413)
	b.idle()
}

// Framing of the usual size is no reason to refuse a body that is within the limit.
func TestSmallChunksWithinTheLimitAreHeld(t *testing.T) {
	b, _, c := start(t, byModel+"limits: {heldBodyBytes: 4KiB}\n")
	head := strings.Replace(uploadHead, "\r\n\r\n", "\r\nContent-Type: application/json\r\n\r\n", 1)
	c.send(head + chunk(`{"prompt":"`) + strings.Repeat(chunk("x"), 3<<10) + chunk(`","model":"small"}`) + "0\r\n\r\n")
	s := b.accept()
	if _, body := s.request(); len(body) != 3<<10+len(`{"prompt":"","model":"small"}`) {
		t.Errorf("the body came as %.60q of %d bytes", body, len(body))
	}
	s.send(plain(200, "{}"))
	c.response("POST")
}
