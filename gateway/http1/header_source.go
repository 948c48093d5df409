package http1

import (
	"github.com/penstock/penstock/gateway/field"
	"github.com/penstock/penstock/gateway/route"
)

var _ route.HeaderSource = (*RequestHead)(nil)

// Next returns the value of the first field with a name, in any case, at position from or after it, and the position behind it.
// Positions count fields.
func (h *RequestHead) Next(name string, from int) (value []byte, next int, ok bool) {
	id := field.Lookup(name)
	for i := from; i < len(h.Fields); i++ {
		f := &h.Fields[i]
		if f.ID == id && (id != field.Unknown || field.EqualFold(h.Name(f), name)) {
			return h.Value(f), i + 1, true
		}
	}
	return nil, len(h.Fields), false
}
