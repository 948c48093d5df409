package instant

import (
	"bytes"
	"errors"
	"math"
	"time"
)

// request is what the head of a request says, without a reference to the buffer that it was read from.
type request struct {
	path     path
	page     string // the path of a GET
	oldHTTP  bool   // HTTP/1.0
	close    bool   // the connection ends after the answer
	length   int    // Content-Length
	chunked  bool
	expect   bool // 100-continue
	interval time.Duration
}

type path uint8

const (
	pathUnknown path = iota
	pathPage
	pathChat
	pathCompletions
	pathEmbeddings
	pathInfer
)

var errMalformed = errors.New("the request's head is malformed")

// parseHead reads a request's head, up to and without its last empty line.
func parseHead(head []byte) (r request, err error) {
	line, rest, _ := bytes.Cut(head, crlf)
	method, target, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return r, errMalformed
	}
	target, version, ok := bytes.Cut(target, []byte(" "))
	if !ok || len(target) == 0 {
		return r, errMalformed
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		r.oldHTTP, r.close = true, true
	default:
		return r, errMalformed
	}
	r.route(method, target)
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, crlf)
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return r, errMalformed
		}
		if err := r.header(name, bytes.TrimSpace(value)); err != nil {
			return r, err
		}
	}
	return r, nil
}

var crlf = []byte("\r\n")

func (r *request) route(method, target []byte) {
	target, _, _ = bytes.Cut(target, []byte("?"))
	switch string(method) {
	case "GET":
		r.path = pathPage
		r.page = string(target)
	case "POST":
		switch string(target) {
		case "/v1/chat/completions":
			r.path = pathChat
		case "/v1/completions":
			r.path = pathCompletions
		case "/v1/embeddings":
			r.path = pathEmbeddings
		default:
			if bytes.HasPrefix(target, []byte("/v2/models/")) && bytes.HasSuffix(target, []byte("/infer")) {
				r.path = pathInfer
			}
		}
	}
}

// header notes a header field that matters. Names are told apart by length first, as most fields do not matter.
func (r *request) header(name, value []byte) error {
	switch len(name) {
	case len("expect"):
		if bytes.EqualFold(name, []byte("expect")) {
			r.expect = bytes.EqualFold(value, []byte("100-continue"))
		}
	case len("connection"):
		if bytes.EqualFold(name, []byte("connection")) && bytes.EqualFold(value, []byte("close")) {
			r.close = true
		}
	case len("content-length"):
		if bytes.EqualFold(name, []byte("content-length")) {
			n, end := number(value)
			if n < 0 || end != len(value) {
				return errMalformed
			}
			r.length = n
		}
	case len("x-mock-interval"):
		if bytes.EqualFold(name, []byte("x-mock-interval")) {
			d, err := parseInterval(string(value))
			if err != nil {
				return err
			}
			r.interval = d
		}
	case len("transfer-encoding"):
		if bytes.EqualFold(name, []byte("transfer-encoding")) {
			if !bytes.EqualFold(value, []byte("chunked")) {
				return errMalformed
			}
			r.chunked = true
		}
	}
	return nil
}

func parseInterval(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > time.Hour {
		return 0, errors.New("x-mock-interval must be a duration such as 10ms, at most an hour")
	}
	return d, nil
}

// number reads the decimal number that b starts with and says where it ends; -1 if there is none or it does not fit.
func number(b []byte) (n, end int) {
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		if n > (math.MaxInt-9)/10 {
			return -1, 0
		}
		n = 10*n + int(b[end]-'0')
		end++
	}
	if end == 0 {
		return -1, 0
	}
	return n, end
}

// options are what a body says about its answer.
type options struct {
	stream, usage bool
	tokens        int
}

// scan finds the options in a JSON body without parsing it: it hops from quote to quote and looks for keys. Text cannot be mistaken
// for a key, as quotes in it are escaped; a key of a nested object is taken as well.
func scan(body []byte, defaultTokens int) (o options) {
	o.tokens = defaultTokens
	chosen := false // max_completion_tokens was given, which wins
	for {
		i := bytes.IndexByte(body, '"')
		if i < 0 {
			o.usage = o.usage && o.stream
			return o
		}
		body = body[i:]
		if v := value(body, `"stream"`); v != nil {
			o.stream = bytes.HasPrefix(v, []byte("true"))
		} else if v := value(body, `"include_usage"`); v != nil {
			o.usage = bytes.HasPrefix(v, []byte("true"))
		} else if v := value(body, `"max_completion_tokens"`); v != nil {
			if n, _ := number(v); n >= 0 {
				o.tokens, chosen = n, true
			}
		} else if v := value(body, `"max_tokens"`); v != nil && !chosen {
			if n, _ := number(v); n >= 0 {
				o.tokens = n
			}
		}
		body = body[1:]
	}
}

// value is what follows the key that body starts with, quotes included in the key; nil if body does not start with it.
func value(body []byte, key string) []byte {
	if len(body) < len(key) || string(body[:len(key)]) != key {
		return nil
	}
	v := bytes.TrimLeft(body[len(key):], " \t\r\n")
	if len(v) == 0 || v[0] != ':' {
		return nil
	}
	return bytes.TrimLeft(v[1:], " \t\r\n")
}
