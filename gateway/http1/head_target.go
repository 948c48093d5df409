package http1

import (
	"bytes"

	"github.com/penstock/penstock/gateway/field"
)

// TargetForm is the form of a request target (RFC 9112 3.2).
type TargetForm uint8

const (
	// OriginForm is a path with an optional query.
	OriginForm TargetForm = iota
	// AbsoluteForm is an http or https URL.
	AbsoluteForm
	// AuthorityForm is the host:port of CONNECT.
	AuthorityForm
	// AsteriskForm is the * of OPTIONS.
	AsteriskForm
)

// String is the form's name, such as "origin".
func (f TargetForm) String() string {
	return [...]string{"origin", "absolute", "authority", "asterisk"}[f]
}

// Paths of URLs that have none.
var (
	rootPath     = []byte("/")
	asteriskPath = []byte("*")
)

// splitTarget sets TargetForm, Authority and Path from Method and Target.
func (h *RequestHead) splitTarget() fault {
	h.TargetForm, h.Authority, h.Path = OriginForm, nil, h.Target
	if string(h.Method) == "CONNECT" {
		h.TargetForm, h.Authority, h.Path = AuthorityForm, h.Target, nil
		if !field.ValidAuthority(h.Target, true) {
			return faultTargetForm
		}
		return noFault
	}
	if h.Target[0] == '/' {
		return checkEscapes(h.Path)
	}
	if len(h.Target) == 1 && h.Target[0] == '*' {
		h.TargetForm = AsteriskForm
		if string(h.Method) != "OPTIONS" {
			return faultTargetForm
		}
		return noFault
	}
	return h.splitURL()
}

// splitURL splits a target in absolute form.
func (h *RequestHead) splitURL() fault {
	rest := h.Target
	switch {
	case len(rest) > 7 && field.EqualFold(rest[:7], "http://"):
		rest = rest[7:]
	case len(rest) > 8 && field.EqualFold(rest[:8], "https://"):
		rest = rest[8:]
	default:
		return faultTargetForm
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	h.TargetForm, h.Authority, h.Path = AbsoluteForm, rest[:end], rest[end:]
	switch {
	case !field.ValidAuthority(h.Authority, false):
		return faultTargetAuthority
	case len(h.Path) == 0:
		// RFC 9112 3.2.1 and 3.2.4.
		h.Path = rootPath
		if string(h.Method) == "OPTIONS" {
			h.Path = asteriskPath
		}
		return noFault
	case h.Path[0] == '?':
		// The path to forward, /?query, is nowhere in the head.
		return faultTargetForm
	}
	return checkEscapes(h.Path)
}

// checkEscapes refuses a path with a percent sign that means nothing.
func checkEscapes(path []byte) fault {
	if !field.ValidEscapes(path) {
		return faultTargetEscape
	}
	return noFault
}
