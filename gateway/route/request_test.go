package route

import (
	"strings"
	"testing"
)

// fields is a HeaderSource: names and values in turn.
type fields []string

func (f fields) Lookup(name string) ([]byte, bool) {
	value, _, ok := f.Next(name, 0)
	return value, ok
}

func (f fields) Next(name string, from int) (value []byte, next int, ok bool) {
	for i := from; i < len(f); i += 2 {
		if strings.EqualFold(f[i], name) {
			return []byte(f[i+1]), i + 2, true
		}
	}
	return nil, 0, false
}

// head is a HeaderSource that does not allocate, as engines have.
type head []headField

type headField struct{ name, value []byte }

func (h head) Lookup(name string) ([]byte, bool) {
	value, _, ok := h.Next(name, 0)
	return value, ok
}

func (h head) Next(name string, from int) (value []byte, next int, ok bool) {
	for i := from; i < len(h); i++ {
		if equalLower(h[i].name, name) {
			return h[i].value, i + 1, true
		}
	}
	return nil, 0, false
}

func newHead(pairs ...string) head {
	var h head
	for i := 0; i < len(pairs); i += 2 {
		h = append(h, headField{[]byte(pairs[i]), []byte(pairs[i+1])})
	}
	return h
}

// to makes the targets of a rule that sends everything to pool.
func to(pool string) []Target { return []Target{{Pool: pool}} }

func mustTable(t testing.TB, rules ...Rule) *Table {
	t.Helper()
	table, err := NewTable(rules)
	if err != nil {
		t.Fatalf("cannot make table: %v", err)
	}
	return table
}

// pool returns the pool that the request's route sends it to, "model?" if the model is needed first, and "" if nothing matches.
func pool(t *Table, r *Request) string {
	rt, needModel := t.Match(r)
	switch {
	case needModel:
		return "model?"
	case rt == nil:
		return ""
	}
	return rt.Targets[0].Pool
}
