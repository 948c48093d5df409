package http1

// ParseError says why a message is refused. All values are made beforehand, so that refusing one allocates nothing; they are shared
// and must not be changed.
type ParseError struct {
	// Status is what the client is answered: 400, 414, 417, 431, 501 or 505 for requests and their bodies, 502 for the head of an
	// upstream's response.
	Status int
	// Code is machine-readable and stable, such as "bare_line_feed".
	Code string
	// Reason says in a sentence what was wrong and what would be right. It never holds bytes of the message.
	Reason string
}

// Error is the reason.
func (e *ParseError) Error() string { return e.Reason }

// fault is a cause for refusing a message; the zero value is none. Parsers pass faults around and turn them into a ParseError at
// the end, as the same fault has another status in a request than in a response.
type fault uint8

const (
	noFault fault = iota

	// Start lines.
	faultRequestLine
	faultSimpleRequest
	faultMethod
	faultTargetBytes
	faultTargetTooLong
	faultTargetForm
	faultTargetAuthority
	faultTargetEscape
	faultVersionSyntax
	faultVersion
	faultStatusLine
	faultStatusCode

	// Field lines, of heads and trailers.
	faultHeadTooLarge
	faultTooManyFields
	faultNameEmpty
	faultNameByte
	faultNameSpace
	faultNoColon
	faultFold
	faultBareCR
	faultBareLF
	faultNUL
	faultControl
	faultLookalike

	// Framing.
	faultLength
	faultLengthOverflow
	faultLengthTwice
	faultLengthAndCoding
	faultCoding
	faultCodingSyntax
	faultCodingTwice
	faultCodingVersion
	faultConnectBody

	// What else a head says about the connection.
	faultNoHost
	faultHost
	faultHostTwice
	faultConnection
	faultConnectionTooLong
	faultNominated
	faultExpect
	faultTrailerField
	faultSwitch

	// Chunked bodies.
	faultChunkSize
	faultChunkOverflow
	faultChunkEnd
	faultExtension
	faultExtensionTooLong
	faultExtensionExcess
	faultTrailerName
	faultTrailerTooLarge
	faultTrailerTooMany

	faults // how many there are
)

// requestErrors is what each fault is in a request.
var requestErrors = [faults]ParseError{
	faultRequestLine:   {400, "invalid_request_line", "the request line is not a method, one space, a target, one space and HTTP/1.1"},
	faultSimpleRequest: {400, "missing_version", "the request line ends without a version; it must end in HTTP/1.1 or HTTP/1.0"},
	faultMethod:        {400, "invalid_method", "the method is not a token of 1 to 32 letters, digits and token characters"},
	faultTargetBytes:   {400, "invalid_target", "the request target has a byte that is not allowed; it takes visible ASCII characters other than #"},
	faultTargetTooLong: {414, "target_too_long", "the request target is longer than this gateway takes"},
	faultTargetForm: {400, "invalid_target_form", "the request target is not a path, an http or https URL with a path, " +
		"a host:port for CONNECT, or * for OPTIONS"},
	faultTargetAuthority: {400, "invalid_target_authority", "the request target's host is not a name or address with an optional port; it takes no user information"},
	faultTargetEscape:    {400, "invalid_target_escape", "the request target's path has a % that two hexadecimal digits do not follow"},
	faultVersionSyntax:   {400, "invalid_version", "the version is not HTTP/1.1 or HTTP/1.0, directly followed by the line's end"},
	faultVersion:         {505, "unsupported_version", "the version is not HTTP/1.1 or HTTP/1.0"},
	faultStatusLine:      {400, "invalid_status_line", "the status line is not HTTP/1.1, one space, three digits and a reason after one space"},
	faultStatusCode:      {400, "invalid_status_code", "the status code is not between 100 and 599"},

	faultHeadTooLarge:  {431, "head_too_large", "the head is larger than this gateway takes"},
	faultTooManyFields: {431, "too_many_fields", "the head has more fields than this gateway takes"},
	faultNameEmpty:     {400, "empty_field_name", "a field line begins with a colon; a name must stand before it"},
	faultNameByte:      {400, "invalid_field_name", "a field's name has a byte that is not a token character"},
	faultNameSpace:     {400, "space_before_colon", "a field's name is followed by whitespace; the colon must follow it directly"},
	faultNoColon:       {400, "missing_colon", "a field line has no colon"},
	faultFold:          {400, "line_folding", "a field line begins with whitespace; values must not be folded over lines"},
	faultBareCR:        {400, "bare_carriage_return", "a carriage return is not followed by a line feed"},
	faultBareLF:        {400, "bare_line_feed", "a line ends in a line feed alone; lines end in a carriage return and a line feed"},
	faultNUL:           {400, "nul_byte", "a field's value has a NUL byte"},
	faultControl:       {400, "control_character", "a field's value or a reason phrase has a control character other than a tab"},
	faultLookalike: {400, "ambiguous_field_name", "a field's name is that of a framing or forwarding field with _ for -, " +
		"which some servers do not tell apart"},

	faultLength:          {400, "invalid_content_length", "Content-Length is not one number of decimal digits alone"},
	faultLengthOverflow:  {400, "content_length_overflow", "Content-Length is larger than a length can be"},
	faultLengthTwice:     {400, "duplicate_content_length", "there is more than one Content-Length"},
	faultLengthAndCoding: {400, "content_length_with_transfer_encoding", "there are both a Content-Length and a Transfer-Encoding"},
	faultCoding:          {501, "unknown_transfer_encoding", "Transfer-Encoding names a coding other than chunked"},
	faultCodingSyntax:    {400, "invalid_transfer_encoding", "Transfer-Encoding is not the word chunked alone"},
	faultCodingTwice:     {400, "duplicate_transfer_encoding", "there is more than one Transfer-Encoding"},
	faultCodingVersion:   {400, "transfer_encoding_version", "Transfer-Encoding is not part of HTTP/1.0"},
	faultConnectBody:     {400, "connect_with_body", "a CONNECT request has no body; it takes neither Content-Length nor Transfer-Encoding"},

	faultNoHost:            {400, "missing_host", "an HTTP/1.1 request needs a Host field"},
	faultHost:              {400, "invalid_host", "Host is not a name or address with an optional port"},
	faultHostTwice:         {400, "duplicate_host", "there is more than one Host field"},
	faultConnection:        {400, "invalid_connection", "Connection is not a comma-separated list of tokens"},
	faultConnectionTooLong: {400, "too_many_connection_options", "Connection has more than 32 options"},
	faultNominated:         {400, "nominated_framing_field", "Connection names Host, Content-Length or Transfer-Encoding, which cannot be dropped"},
	faultExpect:            {417, "unknown_expectation", "Expect is not 100-continue"},
	faultTrailerField: {400, "invalid_trailer", "Trailer is not a comma-separated list of at most 32 field names, or names " +
		"a field that may not come in trailers"},
	faultSwitch: {400, "invalid_upgrade", "status 101 comes without Connection: upgrade and an Upgrade field"},

	faultChunkSize:        {400, "invalid_chunk_size", "a chunk's size is not hexadecimal digits alone"},
	faultChunkOverflow:    {400, "chunk_size_overflow", "a chunk's size has more than 16 digits or is larger than a length can be"},
	faultChunkEnd:         {400, "invalid_chunk_end", "a chunk's data is not followed by a carriage return and a line feed"},
	faultExtension:        {400, "invalid_chunk_extension", "a chunk extension has a byte that is not visible ASCII, a space or a tab"},
	faultExtensionTooLong: {400, "chunk_extension_too_long", "a chunk extension is longer than 1024 bytes"},
	faultExtensionExcess:  {400, "chunk_overhead", "chunk extensions and padded sizes outweigh the data by more than 16 KiB"},
	faultTrailerName:      {400, "forbidden_trailer", "a trailer field is one of framing, routing, authentication or content, which must come in the head"},
	faultTrailerTooLarge:  {431, "trailers_too_large", "the trailers are larger than this gateway takes"},
	faultTrailerTooMany:   {431, "too_many_trailers", "there are more trailer fields than this gateway takes"},
}

// responseErrors is what each fault is in the head of a response: always the upstream's, so 502.
var responseErrors = upstreamErrors(requestErrors)

func upstreamErrors(errs [faults]ParseError) [faults]ParseError {
	for i := range errs {
		errs[i].Status = 502
	}
	return errs
}
