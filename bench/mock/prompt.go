package mock

import (
	"encoding/binary"
	"math/bits"

	"github.com/penstock/penstock/bench/engine"
)

// tokenBytes is how many bytes of text make a token, near what real tokenizers do with English.
const tokenBytes = 4

// prompt is the text that a model would see. Messages are padded to whole tokens, and each starts with one token for its role, so
// that the prompt of a conversation's next turn starts with this turn's prompt and answer, byte for byte and token for token.
type prompt struct {
	text []byte
}

// addMessage appends a message of a chat.
func (p *prompt) addMessage(role string, content []byte) {
	p.addRole(role)
	p.text = append(p.text, content...)
	p.pad()
}

// addRole appends the token that starts a message; the answer's is the last thing that the model sees.
func (p *prompt) addRole(role string) {
	p.text = append(p.text, '\x01')
	p.text = append(p.text, role[:min(len(role), tokenBytes-1)]...)
	p.pad()
}

// addTokens appends tokens that were sent as numbers.
func (p *prompt) addTokens(ids []uint32) {
	for _, id := range ids {
		p.text = binary.LittleEndian.AppendUint32(p.text, id)
	}
}

func (p *prompt) pad() {
	for len(p.text)%tokenBytes != 0 {
		p.text = append(p.text, 0)
	}
}

// close completes the last token, and gives a prompt without text the one token that a model needs to begin.
func (p *prompt) close() {
	if len(p.text) == 0 {
		p.addRole("bos")
	}
	p.pad()
}

// tokens is the length in tokens of a closed prompt.
func (p *prompt) tokens() int { return len(p.text) / tokenBytes }

// request makes the engine's request for this prompt, and the text of the answer, tokenBytes a token. Like a model without
// sampling, it answers equal prompts alike, on every replica. Models never share a prefix.
func (p *prompt) request(model string, output int) (engine.Request, []byte) {
	p.close()
	start := mix(0, []byte(model))
	answer := appendAnswer(nil, mix(start, p.text), output)
	whole := append(p.text, answer...)
	const blockBytes = engine.DefaultBlockTokens * tokenBytes
	blocks := make([]uint64, 0, len(whole)/blockBytes)
	for hash := start; len(whole) >= blockBytes; whole = whole[blockBytes:] {
		hash = mix(hash, whole[:blockBytes])
		blocks = append(blocks, hash)
	}
	return engine.Request{PromptTokens: p.tokens(), MaxTokens: output, Blocks: blocks}, answer
}

// mix continues a hash with data, eight bytes at a time.
func mix(hash uint64, data []byte) uint64 {
	for ; len(data) >= 8; data = data[8:] {
		hash = fold(hash ^ binary.LittleEndian.Uint64(data))
	}
	var rest [8]byte
	copy(rest[:], data)
	return fold(hash ^ binary.LittleEndian.Uint64(rest[:]) ^ uint64(len(data))<<56)
}

// fold multiplies by a large odd number and folds the 128-bit product, as wyhash does.
func fold(x uint64) uint64 {
	high, low := bits.Mul64(x^0x9e3779b97f4a7c15, 0xe7037ed1a0b428db)
	return high ^ low
}

// words are what answers are made of, each one token with the space that follows it.
var words = [...]string{
	"all", "and", "any", "are", "bit", "but", "can", "day", "did", "end", "far", "few", "for", "get", "got", "had",
	"has", "her", "him", "his", "how", "its", "key", "law", "let", "lot", "may", "men", "net", "new", "nor", "not",
	"now", "odd", "off", "old", "one", "our", "out", "own", "per", "put", "ran", "raw", "run", "saw", "say", "sea",
	"see", "set", "she", "six", "sum", "ten", "the", "too", "top", "try", "two", "use", "was", "way", "who", "you",
}

func appendAnswer(b []byte, seed uint64, tokens int) []byte {
	for range tokens {
		seed += 0x9e3779b97f4a7c15
		b = append(b, words[fold(seed)%uint64(len(words))]...)
		b = append(b, ' ')
	}
	return b
}
