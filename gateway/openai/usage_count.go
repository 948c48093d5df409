package openai

const (
	// maxUsage is the longest usage object that is read, in bytes.
	maxUsage = 2048
	// maxTokens is more than any count of tokens can be; larger numbers are passed over.
	maxTokens = 1 << 48
)

// usageCount reads the counts of a usage object byte by byte; such objects are short and come once in a response. It tells keys
// from other strings by the colon after them.
type usageCount struct {
	usage Usage

	number  int64
	read    int16  // bytes
	depth   uint16 // open brackets, at most maxUsage; 0 is the object's end
	mode    usageMode
	field   usageField // what the next value is
	cached  bool       // inside the details of the prompt's tokens
	invalid bool       // the number is not a count
	escape  bool       // the string's last byte was a backslash
	textLen uint8
	text    [24]byte // the last string; longer ones are no keys that matter
}

type usageMode uint8

const (
	betweenTokens usageMode = iota
	inText
	inNumber
)

type usageField uint8

const (
	otherField usageField = iota
	promptField
	completionField
	detailsField
	cachedField
)

// feed reads p on and returns how many bytes it took; done is set at the object's end, or where it is given up.
func (u *usageCount) feed(p []byte) (n int, done bool) {
	for i, c := range p {
		if u.read++; u.read > maxUsage {
			u.usage.Known = false
			return i, true
		}
		switch {
		case u.mode == inText:
			u.addText(c)
		case u.mode == inNumber && u.addDigit(c):
		default:
			u.structure(c)
		}
		if u.depth == 0 {
			return i + 1, true
		}
	}
	return len(p), false
}

// addText takes a byte of a string.
func (u *usageCount) addText(c byte) {
	switch {
	case u.escape:
		u.escape = false
		u.textLen = uint8(len(u.text)) + 1 // no key that matters has escapes
	case c == '\\':
		u.escape = true
	case c == '"':
		u.mode = betweenTokens
	case int(u.textLen) < len(u.text):
		u.text[u.textLen] = c
		u.textLen++
	default:
		u.textLen = uint8(len(u.text)) + 1
	}
}

// addDigit takes a byte of a number, or returns false at its end.
func (u *usageCount) addDigit(c byte) bool {
	switch {
	case '0' <= c && c <= '9':
		u.number = u.number*10 + int64(c-'0')
		u.invalid = u.invalid || u.number > maxTokens
		if u.invalid {
			u.number = 0
		}
		return true
	case c == '.' || c == '-' || c == '+' || c|0x20 == 'e':
		u.invalid = true
		return true
	}
	u.mode = betweenTokens
	if !u.invalid {
		u.set()
	}
	return false
}

// set gives the number to the field that it is the value of.
func (u *usageCount) set() {
	switch {
	case u.depth == 1 && u.field == promptField:
		u.usage.PromptTokens = u.number
	case u.depth == 1 && u.field == completionField:
		u.usage.CompletionTokens = u.number
	case u.depth == 2 && u.cached && u.field == cachedField:
		u.usage.CachedTokens = u.number
	default:
		return
	}
	u.usage.Known = true
}

// structure takes a byte outside strings and numbers.
func (u *usageCount) structure(c byte) {
	switch {
	case c == '"':
		u.mode, u.textLen = inText, 0
	case c == ':':
		u.field = u.key()
	case c == '{' || c == '[':
		u.cached = u.cached || u.depth == 1 && u.field == detailsField && c == '{'
		u.field = otherField
		u.depth++
	case c == '}' || c == ']':
		u.depth--
		u.cached = u.cached && u.depth > 1
	case c == ',':
		u.field = otherField
	case '0' <= c && c <= '9' || c == '-':
		u.mode, u.number, u.invalid = inNumber, 0, false
		u.addDigit(c)
	}
}

// key returns which field the last string names: those of chat completions, completions and embeddings, and those of the
// responses API.
func (u *usageCount) key() usageField {
	if int(u.textLen) > len(u.text) {
		return otherField
	}
	switch string(u.text[:u.textLen]) {
	case "prompt_tokens", "input_tokens":
		return promptField
	case "completion_tokens", "output_tokens":
		return completionField
	case "prompt_tokens_details", "input_tokens_details":
		return detailsField
	case "cached_tokens":
		return cachedField
	}
	return otherField
}
