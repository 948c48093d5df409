package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"reflect"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/field"
)

// Go's net/http is the oracle: whatever is accepted here it must accept as well, and read the same from it. The other way round it may
// take more, but only for the reasons below; each is one that TestRequestsLikeNetHTTP and its siblings come upon.

// stricterRequests says why a request that net/http takes is refused here, by code.
var stricterRequests = map[string]string{
	"bare_line_feed":                        "net/http ends lines at a bare LF (RFC 9112 2.2 lets it); others do not, so where lines end is disputed",
	"line_folding":                          "net/http joins folded lines, and takes a line of blanks for the empty one; RFC 9112 5.2 has servers refuse them",
	"space_before_colon":                    "net/http keeps such fields under a name with a space; RFC 9112 5.1 has servers refuse them",
	"ambiguous_field_name":                  "servers behind that fold _ to - would see a field that was not checked here",
	"invalid_method":                        "methods of more than 32 bytes serve nobody",
	"invalid_target":                        "net/http takes fragments and obs-text in targets, which RFC 3986 does not have",
	"invalid_target_form":                   "net/http takes * with any method, schemes other than http, rootless paths, CONNECT with paths and without ports",
	"invalid_target_authority":              "net/http takes user information, sub-delimiters, escapes and empty hosts",
	"invalid_version":                       "net/http takes HTTP/0.9",
	"unsupported_version":                   "net/http's ReadRequest leaves refusing other versions to its server",
	"missing_host":                          "net/http's ReadRequest leaves this to its server",
	"invalid_host":                          "net/http's ReadRequest leaves this to its server, which takes sub-delimiters, escapes and any port",
	"duplicate_content_length":              "net/http takes equal lengths; they serve nobody but attackers",
	"content_length_overflow":               "net/http takes more than 19 digits if the first are zeros",
	"content_length_with_transfer_encoding": "net/http drops the length; RFC 9112 6.3 has it as a sign of smuggling",
	"transfer_encoding_version":             "net/http ignores the coding in HTTP/1.0; others heed it",
	"connect_with_body":                     "whether what follows a CONNECT is its body or its tunnel must not be in doubt",
	"invalid_connection":                    "net/http looks for its own tokens and ignores the rest",
	"too_many_connection_options":           "net/http nominates nothing, so it needs no bound",
	"nominated_framing_field":               "net/http nominates nothing",
	"unknown_expectation":                   "net/http's ReadRequest leaves this to its server",
	"invalid_trailer":                       "net/http looks only for three forbidden names, and only in chunked messages",
	"target_too_long":                       "a limit",
	"too_many_fields":                       "a limit",
	"head_too_large":                        "a limit",
}

// stricterResponses says why a response that net/http takes is refused here, by code.
var stricterResponses = map[string]string{
	"bare_line_feed":                        stricterRequests["bare_line_feed"],
	"line_folding":                          stricterRequests["line_folding"],
	"space_before_colon":                    stricterRequests["space_before_colon"],
	"ambiguous_field_name":                  stricterRequests["ambiguous_field_name"],
	"invalid_status_line":                   "net/http takes several spaces before the status, and signed ones",
	"invalid_status_code":                   "net/http takes 000 to 999",
	"unsupported_version":                   "net/http takes any version from HTTP/0.0 to HTTP/9.9",
	"nul_byte":                              "net/http does not look at the reason",
	"control_character":                     "net/http does not look at the reason",
	"bare_carriage_return":                  "net/http does not look at the reason",
	"duplicate_content_length":              stricterRequests["duplicate_content_length"],
	"content_length_overflow":               stricterRequests["content_length_overflow"],
	"content_length_with_transfer_encoding": stricterRequests["content_length_with_transfer_encoding"],
	"transfer_encoding_version":             stricterRequests["transfer_encoding_version"],
	"invalid_connection":                    stricterRequests["invalid_connection"],
	"too_many_connection_options":           stricterRequests["too_many_connection_options"],
	"nominated_framing_field":               stricterRequests["nominated_framing_field"],
	"invalid_upgrade":                       "net/http leaves this to its client",
	"invalid_trailer":                       stricterRequests["invalid_trailer"],
	"too_many_fields":                       "a limit",
	"head_too_large":                        "a limit",
}

// stricterChunks says why a chunked body that net/http takes is refused here, by code.
var stricterChunks = map[string]string{
	"invalid_chunk_size":       "net/http takes whitespace after a size",
	"invalid_chunk_extension":  "net/http takes any byte but CR and LF in extensions",
	"chunk_extension_too_long": "a limit; net/http has 4096 bytes for the line",
	"chunk_overhead":           "a limit; net/http has the same, but weighs data twice",
	"bare_line_feed":           "net/http ends trailer lines at a bare LF",
	"line_folding":             "net/http joins folded trailers",
	"space_before_colon":       "net/http keeps such trailers under a name with a space",
	"forbidden_trailer":        "net/http keeps trailers apart from the head; others merge them",
	"trailers_too_large":       "a limit",
	"too_many_trailers":        "a limit",
}

// oracleBuffer is net/http's read buffer; it bounds the trailers that it takes.
const oracleBuffer = 256 << 10

// compareRequest parses b here and with net/http, and returns the code of the error where only net/http took it. It returns an error
// where the two disagree otherwise.
func compareRequest(b []byte, lim *HeadLimits) (code string, _ error) {
	var h RequestHead
	n, err := h.Parse(b, lim)

	// net/http's server, not ReadRequest, passes over an empty line.
	skipped := 0
	if bytes.HasPrefix(b, []byte("\r\n")) {
		skipped = 2
	}
	source := bytes.NewReader(b[skipped:])
	r := bufio.NewReaderSize(source, oracleBuffer)
	req, theirErr := http.ReadRequest(r)
	theirs := len(b) - source.Len() - r.Buffered()

	switch {
	case err != nil && theirErr != nil:
		return "", nil
	case err != nil:
		return err.(*ParseError).Code, nil
	case n == 0 && theirErr == nil:
		return "", fmt.Errorf("incomplete here, but net/http takes it")
	case n == 0:
		return "", nil
	case theirErr != nil:
		return "", fmt.Errorf("taken here, but net/http says: %v", theirErr)
	}

	host, _ := h.Get(field.Host)
	if h.Authority != nil {
		host = h.Authority
	}
	if err := allSame(
		same("method", string(h.Method), req.Method),
		same("target", string(h.Target), req.RequestURI),
		same("minor version", int(h.Minor), req.ProtoMinor),
		same("host", string(host), req.Host),
		same("length", h.Length, req.ContentLength),
		same("chunked", h.Chunked, len(req.TransferEncoding) == 1),
		same("close", h.Close, req.Close),
		same("head's length", n, theirs),
	); err != nil {
		return "", err
	}
	fields := mimeFields(&h.head)
	delete(fields, "Host")
	if err := compareFields(fields, req.Header, h.Chunked); err != nil {
		return "", err
	}
	if h.Chunked {
		return compareChunks(b[n:], req.Body, &req.Trailer, r)
	}
	return "", compareBody(b[n:], h.Length, req.Body)
}

// compareResponse is compareRequest for responses.
func compareResponse(b []byte, lim *HeadLimits, toHEAD bool) (code string, _ error) {
	var h ResponseHead
	n, err := h.Parse(b, lim, toHEAD)

	source := bytes.NewReader(b)
	r := bufio.NewReaderSize(source, oracleBuffer)
	method := "GET"
	if toHEAD {
		method = "HEAD"
	}
	resp, theirErr := http.ReadResponse(r, &http.Request{Method: method})
	theirs := len(b) - source.Len() - r.Buffered()

	switch {
	case err != nil && theirErr != nil:
		return "", nil
	case err != nil:
		return err.(*ParseError).Code, nil
	case n == 0 && theirErr == nil:
		return "", fmt.Errorf("incomplete here, but net/http takes it")
	case n == 0:
		return "", nil
	case theirErr != nil:
		return "", fmt.Errorf("taken here, but net/http says: %v", theirErr)
	}

	if err := allSame(
		same("status", h.Status, resp.StatusCode),
		same("reason", strings.Trim(string(h.Reason), " "), strings.Trim(resp.Status[3:], " ")),
		same("minor version", int(h.Minor), resp.ProtoMinor),
		same("chunked", h.Chunked, len(resp.TransferEncoding) == 1),
		same("close", h.Close, resp.Close),
		same("head's length", n, theirs),
	); err != nil {
		return "", err
	}
	fields := mimeFields(&h.head)
	if resp.Header["Connection"] == nil && h.Close {
		delete(fields, "Connection") // net/http drops it with close
	}
	if err := compareFields(fields, resp.Header, h.Chunked); err != nil {
		return "", err
	}
	switch {
	case h.NoBody:
		return "", compareBody(b[n:], 0, resp.Body)
	case h.Chunked:
		return compareChunks(b[n:], resp.Body, &resp.Trailer, r)
	case h.UntilClose:
		return "", compareBody(b[n:], int64(len(b)-n), resp.Body)
	}
	if err := same("length", h.Length, resp.ContentLength); err != nil {
		return "", err
	}
	return "", compareBody(b[n:], h.Length, resp.Body)
}

// compareChunks scans a chunked body, with Scan and with Next, and compares it with what net/http makes of it.
func compareChunks(b []byte, body io.Reader, trailer *http.Header, r *bufio.Reader) (code string, _ error) {
	s := corpusScanner
	summary, data, size := nextIn(&s, b, []int{len(b)})
	if _, scanned := scanIn(&s, b, []int{len(b)}); scanned != size || s.Data() != int64(len(data)) {
		return "", fmt.Errorf("Scan went over %d bytes, Next over %d; %d bytes of data, %d", scanned, size, s.Data(), len(data))
	}
	theirs, err := io.ReadAll(body)
	switch {
	case strings.HasPrefix(summary, "incomplete"):
		if err == nil {
			return "", fmt.Errorf("body is incomplete here, but net/http takes it")
		}
		return "", nil
	case strings.HasPrefix(summary, "ok"):
		if err != nil {
			return "", fmt.Errorf("body is taken here, but net/http says: %v", err)
		}
	case err == nil:
		_, code, _ = strings.Cut(summary, " ")
		return code, nil
	default:
		return "", nil
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	trailers := http.Header{}
	for key, values := range *trailer {
		if values != nil { // announced, but not there
			trailers[key] = values
		}
	}
	return "", allSame(
		same("data", string(data), string(theirs)),
		same("rest", string(b[size:]), string(rest)),
		same("trailers", fmt.Sprint(trailersOf(b[:size])), fmt.Sprint(trailers)),
	)
}

// trailersOf reads the trailers of a chunked body that is complete and right: the lines after the last line of zeros.
func trailersOf(body []byte) http.Header {
	trailers := http.Header{}
	var s ChunkScanner
	for s.state < trailerStart {
		s.Scan(body[:1])
		body = body[1:]
	}
	for line := range bytes.SplitSeq(body, []byte("\r\n")) {
		if name, value, ok := strings.Cut(string(line), ":"); ok {
			key := textproto.CanonicalMIMEHeaderKey(name)
			trailers[key] = append(trailers[key], strings.Trim(value, " \t"))
		}
	}
	return trailers
}

// compareBody compares a body of a known length with what net/http makes of it.
func compareBody(b []byte, length int64, body io.Reader) error {
	theirs, err := io.ReadAll(body)
	if int64(len(b)) < length {
		return same("error of a truncated body", err, io.ErrUnexpectedEOF)
	}
	return allSame(same("error of the body", err, nil), same("body", string(b[:length]), string(theirs)))
}

// mimeFields is the fields of a head as net/http holds them.
func mimeFields(h *head) http.Header {
	fields := http.Header{}
	for i := range h.Fields {
		f := &h.Fields[i]
		key := textproto.CanonicalMIMEHeaderKey(string(h.Name(f)))
		fields[key] = append(fields[key], string(h.Value(f)))
	}
	return fields
}

func compareFields(ours, theirs http.Header, chunked bool) error {
	delete(ours, "Transfer-Encoding") // net/http moves these elsewhere
	if chunked {
		delete(ours, "Trailer")
	}
	if ours["Cache-Control"] == nil && len(ours["Pragma"]) > 0 && ours["Pragma"][0] == "no-cache" {
		delete(theirs, "Cache-Control") // net/http adds it
	}
	if !reflect.DeepEqual(ours, theirs) {
		return fmt.Errorf("fields are here:\n%q\nbut with net/http:\n%q", ours, theirs)
	}
	return nil
}

func same(what string, ours, theirs any) error {
	if ours != theirs {
		return fmt.Errorf("%s is here %.300q, but with net/http %.300q", what, fmt.Sprint(ours), fmt.Sprint(theirs))
	}
	return nil
}

func allSame(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkStricter checks that each code came with a reason, and each reason with a code.
func checkStricter(t *testing.T, seen map[string]string, reasons map[string]string) {
	t.Helper()
	for code, example := range seen {
		if reasons[code] == "" {
			t.Errorf("%s is not a reason to refuse what net/http takes: %s", code, example)
		}
	}
	for code := range reasons {
		if seen[code] == "" {
			t.Errorf("nothing that net/http takes is refused for %s", code)
		}
	}
}

func TestRequestsLikeNetHTTP(t *testing.T) {
	seen := map[string]string{}
	for _, c := range corpus(t, "requests.txt") {
		code, err := compareRequest(c.raw, &corpusHeadLimits)
		if err != nil {
			t.Errorf("testdata/requests.txt:%d: %.300q: %v", c.line, c.raw, err)
		}
		if code != "" {
			seen[code] = c.name
		}
	}
	checkStricter(t, seen, stricterRequests)
}

func TestResponsesLikeNetHTTP(t *testing.T) {
	seen := map[string]string{}
	for _, c := range corpus(t, "responses.txt") {
		code, err := compareResponse(c.raw, &corpusHeadLimits, c.toHEAD)
		if err != nil {
			t.Errorf("testdata/responses.txt:%d: %.300q: %v", c.line, c.raw, err)
		}
		if code != "" {
			seen[code] = c.name
		}
	}
	checkStricter(t, seen, stricterResponses)
}

const chunkedRequest = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestChunksLikeNetHTTP(t *testing.T) {
	seen := map[string]string{}
	for _, c := range corpus(t, "chunks.txt") {
		code, err := compareRequest(append([]byte(chunkedRequest), c.raw...), nil)
		if err != nil {
			t.Errorf("testdata/chunks.txt:%d: %.300q: %v", c.line, c.raw, err)
		}
		if code != "" {
			seen[code] = c.name
		}
	}
	checkStricter(t, seen, stricterChunks)
}
