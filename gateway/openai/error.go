package openai

// AppendError appends an error body in OpenAI's shape, {"error":{"message","type","param","code"}}. code is the machine-readable
// cause and param the field of the request that is to blame; empty ones are null, as in OpenAI's answers.
func AppendError(dst []byte, status int, code, message, param string) []byte {
	dst = append(dst, `{"error":{"message":"`...)
	dst = appendEscaped(dst, message)
	dst = append(dst, `","type":"`...)
	dst = append(dst, errorType(status)...)
	dst = append(dst, `","param":`...)
	dst = appendNullable(dst, param)
	dst = append(dst, `,"code":`...)
	dst = appendNullable(dst, code)
	return append(dst, "}}"...)
}

func appendNullable(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = appendEscaped(dst, s)
	return append(dst, '"')
}

// errorType returns the type that goes with an HTTP status. An unknown model (404) and a missing key (401) are invalid requests
// too, as OpenAI has it; clients tell them by status and code.
func errorType(status int) string {
	switch {
	case status == 429:
		return "rate_limit_error"
	case status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}
