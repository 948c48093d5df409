package http1

import (
	"bytes"

	"github.com/penstock/penstock/gateway/field"
)

// maxListElements bounds the elements, empty ones included, of Connection and of Trailer. Each nominated name is looked for among
// all fields, so that without a bound one head could cost their product.
const maxListElements = 32

// nextElement cuts the first element, without the whitespace around it, off a comma-separated list (RFC 9110 5.6.1).
func nextElement(list []byte) (element, rest []byte) {
	element = list
	if i := bytes.IndexByte(list, ','); i >= 0 {
		element, rest = list[:i], list[i+1:]
	}
	for len(element) > 0 && (element[0] == ' ' || element[0] == '\t') {
		element = element[1:]
	}
	for n := len(element); n > 0 && (element[n-1] == ' ' || element[n-1] == '\t'); n-- {
		element = element[:n-1]
	}
	return element, rest
}

// connectionOptions is what Connection asks for.
type connectionOptions uint8

const (
	optionClose connectionOptions = 1 << iota
	optionKeepAlive
	optionUpgrade
)

// connectionOptions reads all Connection fields and marks the fields that they nominate as hop-by-hop.
//
// Nominating Host, Content-Length or Transfer-Encoding is refused. Nominating any other field that is known by name, such as
// Authorization, Cookie or X-Forwarded-For, is ignored: those are meant for the endpoint, and a client must not be able to make the
// gateway drop what it, or a proxy before it, has put there (RFC 9110 7.6.1 forbids senders to nominate them).
func (h *head) connectionOptions() (options connectionOptions, _ fault) {
	if !h.has(field.Connection) {
		return 0, noFault
	}
	room := maxListElements
	for i := int(h.index[field.Connection]); i < len(h.Fields); i++ {
		if h.Fields[i].ID != field.Connection {
			continue
		}
		var option []byte
		for rest := h.Value(&h.Fields[i]); len(rest) > 0; {
			option, rest = nextElement(rest)
			if room--; room < 0 {
				return 0, faultConnectionTooLong
			}
			if len(option) == 0 {
				continue
			}
			if !field.IsToken(option) {
				return 0, faultConnection
			}
			switch id := field.Of(option); id {
			case field.Host, field.ContentLength, field.TransferEncoding:
				return 0, faultNominated
			case field.KeepAlive:
				options |= optionKeepAlive
			case field.Upgrade:
				options |= optionUpgrade
			case field.Unknown:
				if field.EqualFold(option, "close") {
					options |= optionClose
				}
				h.markHop(option)
			}
		}
	}
	return options, noFault
}

// markHop marks the fields with a name that is not known as hop-by-hop.
func (h *head) markHop(name []byte) {
	if h.seen>>field.Unknown&1 == 0 {
		return
	}
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID == field.Unknown && field.EqualFold(h.Name(f), name) {
			f.Hop = true
		}
	}
}

// keepsOpen reports whether the sender keeps the connection open (RFC 9112 9.3).
func (o connectionOptions) keepsOpen(minor uint8) bool {
	return o&optionClose == 0 && (minor > 0 || o&optionKeepAlive != 0)
}

// teTrailers reports whether TE says that the sender takes trailers (RFC 9110 10.1.4).
func (h *head) teTrailers() bool {
	if !h.has(field.TE) {
		return false
	}
	for i := int(h.index[field.TE]); i < len(h.Fields); i++ {
		if h.Fields[i].ID != field.TE {
			continue
		}
		var coding []byte
		for rest := h.Value(&h.Fields[i]); len(rest) > 0; {
			if coding, rest = nextElement(rest); field.EqualFold(coding, "trailers") {
				return true
			}
		}
	}
	return false
}

// checkTrailerField refuses a Trailer field that announces fields which may not come in trailers.
func (h *head) checkTrailerField() fault {
	if !h.has(field.Trailer) {
		return noFault
	}
	room := maxListElements
	for i := int(h.index[field.Trailer]); i < len(h.Fields); i++ {
		if h.Fields[i].ID != field.Trailer {
			continue
		}
		var name []byte
		for rest := h.Value(&h.Fields[i]); len(rest) > 0; {
			name, rest = nextElement(rest)
			if room--; room < 0 {
				return faultTrailerField
			}
			if len(name) > 0 && (!field.IsToken(name) || !field.MayTrail(name)) {
				return faultTrailerField
			}
		}
	}
	return noFault
}
