package http2

import (
	"fmt"
	"strings"
	"testing"
)

// chat is a request's body: a conversation that begins as all of its family do, and has a tail of its own.
func chat(family, tail string) string {
	return fmt.Sprintf(`{"messages":[{"role":"system","content":"You help."},{"role":"user","content":"%s %s"}],"stream":false,"model":"m"}`,
		strings.Repeat(family+" begins like this. ", 1500), tail)
}

// However a body arrives, its prompt is read before the pick: conversations that begin alike go to the same endpoint, and others elsewhere.
func TestPromptsThatBeginAlikeGoToOneEndpoint(t *testing.T) {
	var all []*endpoint
	for _, name := range []string{"one", "two"} {
		e := startEndpoint(t)
		e.serve(func(s *party, q *record) {
			s.headers(q, list(":status", "200"), false)
			s.data(q, name, true)
		})
		all = append(all, e)
	}
	g := startGateway(t, `pools: {p: {endpoints: ["h2c://ENDPOINT", "h2c://ENDPOINT"], balance: prefix}}`, all...)
	c := g.dial()
	seen := make(map[string]int)
	for i := range 12 {
		family, first := fmt.Sprintf("family %d", i), ""
		for _, known := range []bool{true, false} {
			body := chat(family, fmt.Sprint(known))
			head := postOf("/v1/chat/completions")
			if known {
				head = head.with("content-length", fmt.Sprint(len(body)))
			}
			r := c.request(head, false)
			if known {
				c.data(r, body[:300], false)
				c.upload(r, []byte(body[300:]), true)
			} else {
				c.upload(r, []byte(body[:15000]), false)
				c.upload(r, []byte(body[15000:]), true)
			}
			c.whole(r)
			name := string(r.body)
			if first == "" {
				first = name
				seen[name]++
			}
			if name != first {
				t.Errorf("%s went to %s, and what began like it to %s", family, name, first)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("all went to one endpoint: %v", seen)
	}
	g.wantWholeWindows()
}
