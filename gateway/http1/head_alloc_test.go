package http1

import (
	"testing"

	"github.com/penstock/penstock/gateway/field"
)

// checkAllocs fails if f allocates. The race detector's bookkeeping is not counted, so this holds with it too.
func checkAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	f() // the first run may make Fields grow
	if n := testing.AllocsPerRun(5, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

// TestParsersDoNotAllocate goes through the whole corpus, refused messages included.
func TestParsersDoNotAllocate(t *testing.T) {
	var request RequestHead
	for _, c := range corpus(t, "requests.txt") {
		checkAllocs(t, c.name, func() {
			request.Reset()
			request.Parse(c.raw[:len(c.raw)/2], &corpusHeadLimits)
			request.Parse(c.raw, &corpusHeadLimits)
		})
	}
	var response ResponseHead
	for _, c := range corpus(t, "responses.txt") {
		checkAllocs(t, c.name, func() {
			response.Reset()
			response.Parse(c.raw[:len(c.raw)/2], &corpusHeadLimits, c.toHEAD)
			response.Parse(c.raw, &corpusHeadLimits, c.toHEAD)
		})
	}
	chunks := corpusScanner
	for _, c := range corpus(t, "chunks.txt") {
		checkAllocs(t, c.name, func() {
			chunks.Reset()
			chunks.Scan(c.raw)
			chunks.Reset()
			for rest := c.raw; len(rest) > 0; {
				n, _, done, err := chunks.Next(rest)
				if done || err != nil {
					break
				}
				rest = rest[n:]
			}
		})
	}
}

func TestFieldsDoNotAllocate(t *testing.T) {
	h := mustParse(t, fieldsRequest)
	skip := NewFieldSet(field.Host)
	skip.AddName("x-custom")
	dst := make([]byte, 0, 1024)
	checkAllocs(t, "AppendFields", func() { dst = h.AppendFields(dst[:0], skip) })
	checkAllocs(t, "Get", func() { h.Get(field.Host) })
	checkAllocs(t, "Lookup of a known name", func() { h.Lookup("Cookie") })
	checkAllocs(t, "Lookup of another name", func() { h.Lookup("X-Custom-But-Not-There-And-Quite-Long") })
}
