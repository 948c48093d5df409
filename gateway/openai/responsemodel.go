package openai

import "bytes"

// responseModelBytes is how much of a response is looked at for its model. All model servers put it before what they generate but for vectors.
const responseModelBytes = 4096

// ResponseModel returns the model that a response says it is of, given the beginning of its body, plain JSON or a stream of it; nil if it is not told
// there, or only with escapes. It is the string under the key "model" at the top level, or below "response" or "message", as in the first events of the
// responses API and of Anthropic's: never one in what was generated.
func ResponseModel(p []byte) []byte {
	p = p[:min(len(p), responseModelBytes)]
	depth := 0     // open brackets
	inner := false // a model at depth 2 is the response's
	for len(p) > 0 {
		switch c := p[0]; c {
		case '{', '[':
			depth++
			p = p[1:]
		case '}', ']':
			depth--
			p = p[1:]
		case '"':
			text, rest, ok := cutString(p)
			if !ok {
				return nil
			}
			if p = skipSpace(rest); depth > 2 || len(p) == 0 || p[0] != ':' {
				continue
			}
			p = skipSpace(p[1:])
			if depth == 1 {
				inner = string(text) == "response" || string(text) == "message"
			}
			if string(text) == "model" && (depth == 1 || inner) {
				if name, _, ok := cutString(p); ok && isPlainName(name) {
					return name
				}
			}
		default:
			p = p[1:]
		}
	}
	return nil
}

// cutString cuts the string that p begins with; ok is false if p begins with none, or its end has not come.
func cutString(p []byte) (text, rest []byte, ok bool) {
	if len(p) == 0 || p[0] != '"' {
		return nil, nil, false
	}
	for i := 1; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return p[1:i], p[i+1:], true
		}
	}
	return nil, nil, false
}

func skipSpace(p []byte) []byte {
	for len(p) > 0 && space[p[0]] {
		p = p[1:]
	}
	return p
}

// isPlainName reports whether a name is one without escapes, and without the frame of a chunk within it.
func isPlainName(name []byte) bool {
	return len(name) > 0 && bytes.IndexFunc(name, func(r rune) bool { return r < ' ' || r == '\\' }) < 0
}
