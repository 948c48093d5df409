package loadgen

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"github.com/penstock/penstock/bench/trace"
)

// tokenBytes is how many bytes of text make a token: what the mock replicas count, and near what tokenizers do with English.
const tokenBytes = 4

// Chat prompts have a token for the role of each message and for that of the answer, as the mock replicas count. Those take the places of
// the text's tokens there, so that the tokens in between stay where the trace's blocks have them.
const (
	// leastChat is the shortest chat prompt: a role, a word, and the answer's role.
	leastChat = 3
	// leastSystem is the shortest system message: a role and a word.
	leastSystem = 2
)

// appendBody appends the JSON of request i.
func appendBody(b []byte, t *trace.Trace, i int, o *Options) []byte {
	r := &t.Requests[i]
	text := promptText{request: r, blockTokens: max(t.BlockTokens, 1), salt: o.Salt, own: fold(o.Salt ^ fold(uint64(i)+1))}
	b = append(b, `{"model":`...)
	b = append(b, o.modelJSON...)
	if o.API == Completions {
		b = append(b, `,"prompt":"`...)
		b = text.append(b, 0, max(r.PromptTokens, 1))
		b = append(b, '"')
	} else {
		tokens := max(r.PromptTokens, leastChat)
		system := min(r.SystemTokens, tokens-leastChat)
		b = append(b, `,"messages":[`...)
		if system >= leastSystem {
			b = append(b, `{"role":"system","content":"`...)
			b = text.append(b, 1, system)
			b = append(b, `"},`...)
		} else {
			system = 0
		}
		b = append(b, `{"role":"user","content":"`...)
		b = text.append(b, system+1, tokens-1)
		b = append(b, `"}]`...)
	}
	b = append(b, `,"max_tokens":`...)
	b = strconv.AppendInt(b, int64(max(r.OutputTokens, 1)), 10)
	if !o.Whole {
		b = append(b, `,"stream":true,"stream_options":{"include_usage":true}`...)
	}
	return append(b, '}')
}

// promptText is the text of a request's prompt: every token's words follow from the name of its block, so that equal blocks have equal
// text. What no block names has text of the request's own.
type promptText struct {
	request     *trace.Request
	blockTokens int
	salt, own   uint64
}

// append appends the tokens from one position in the prompt to another.
func (p *promptText) append(b []byte, from, to int) []byte {
	for from < to {
		block := from / p.blockTokens
		end := min(to, (block+1)*p.blockTokens)
		seed := p.own ^ fold(uint64(block))
		// A block that the prompt does not fill is named, too, if at all, as one of the conversation's: its beginning is its own.
		if block < len(p.request.Blocks) {
			seed = fold(p.salt ^ p.request.Blocks[block])
		}
		b = appendWords(b, seed, from-block*p.blockTokens, end-block*p.blockTokens)
		from = end
	}
	return b
}

// wordsPerHash is how many words a hash chooses, at 6 bits each.
const wordsPerHash = 10

// appendWords appends the words of a block from one position to another.
func appendWords(b []byte, seed uint64, from, to int) []byte {
	for from < to {
		group := from / wordsPerHash
		h := fold(seed+uint64(group)*0x9e3779b97f4a7c15) >> (from % wordsPerHash * 6)
		for end := min(to, (group+1)*wordsPerHash); from < end; from++ {
			b = binary.LittleEndian.AppendUint32(b, words[h%64])
			h >>= 6
		}
	}
	return b
}

// fold multiplies by a large odd number and folds the 128-bit product, as wyhash does.
func fold(x uint64) uint64 {
	high, low := bits.Mul64(x^0x9e3779b97f4a7c15, 0xe7037ed1a0b428db)
	return high ^ low
}

// words are three letters and a space each, as four bytes in the order of memory. Most tokenizers have a token for each.
var words = func() (list [64]uint32) {
	const text = "all and any are bit but can day did end far few for get got had has her him his how its key law let lot may men net new nor not " +
		"now odd off old one our out own per put ran raw run saw say sea see set she six sum ten the too top try two use was way who you "
	for i := range list {
		list[i] = binary.LittleEndian.Uint32([]byte(text[i*tokenBytes:]))
	}
	return list
}()
