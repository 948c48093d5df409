package openai

// Prompt is what balancing wants to know of a request's prompt.
type Prompt struct {
	// Tokens is an estimate of the prompt's tokens; see PromptScan.
	Tokens int64
	// System is the key of what stands before the conversation: system and developer messages that come first, instructions, and
	// tools. 0 is a prompt without any.
	System uint64
	// SystemTokens is an estimate of the tokens that System stands for. They are among Tokens.
	SystemTokens int64
	// Keys are those of the conversation's beginnings after that, KeyCount of them. Key i stands for the System, the model, the cache_salt
	// and the first PromptKeyBytes[i] bytes of the conversation: two prompts share a key if they begin alike for as long. There is none
	// for more than has come.
	Keys     [PromptKeys]uint64
	KeyCount int
	// CacheKey is the key of prompt_cache_key, by which a client says that prompts have much in common; 0 is none.
	CacheKey uint64
	// MaxTokens is the most tokens that the client wants; 0 if it does not say, or not as a plain number.
	MaxTokens int64
	// Stream says that the client wants a stream.
	Stream bool
	// Final says that the whole body was read. Where it is false all of the above may change with what is still to come, the keys too,
	// as the model and the tools may come last.
	Final bool
}

const (
	// PromptKeys is how many beginnings of a prompt have a key.
	PromptKeys = 16
	// PromptBodyBytes is how much of a body is worth being waited for: the beginning that the last key stands for, and a quarter for the
	// system prompt and the JSON around it.
	PromptBodyBytes = 320 << 10
)

// PromptKeyBytes is how many bytes of the conversation's text each key stands for. The first is longer than what templates tend to put
// before the first words of a user's own. Each is at most twice the one before and mostly a third to a half more, so what is computed again
// for want of a key is a like share of what is not.
var PromptKeyBytes = [PromptKeys]int64{
	1 << 10, 2 << 10, 3 << 10, 4 << 10, 6 << 10, 8 << 10, 12 << 10, 16 << 10,
	24 << 10, 32 << 10, 48 << 10, 64 << 10, 96 << 10, 128 << 10, 192 << 10, 256 << 10,
}

// How tokens are estimated. The true number depends on a tokenizer per model, which costs a thousand times as much; balancing needs to
// know prompts of 50 tokens from those of 50,000.
const (
	// bytesPerToken is what English prose has; code has a little less, and Chinese in UTF-8 comes to about one token for a character.
	bytesPerToken = 4
	// messageTokens is what a chat template puts around a message: its role and its end (Llama 3 and ChatML: 4 to 5).
	messageTokens = 4
	// mediaTokens stands for an image, a sound, a video or a file, whatever its size: what OpenAI counts for an image of 1024x1024 in
	// high detail. Open models take from 256 to some 2,000.
	mediaTokens = 765
)

// promptSize is what tokens are estimated by.
type promptSize struct{ text, messages, medias, ids int64 }

func (n promptSize) tokens() int64 {
	return (n.text+bytesPerToken-1)/bytesPerToken + messageTokens*n.messages + mediaTokens*n.medias + n.ids
}

// grow adds what has come between two sizes.
func (n *promptSize) grow(from, to promptSize) {
	n.text += to.text - from.text
	n.messages += to.messages - from.messages
	n.medias += to.medias - from.medias
	n.ids += to.ids - from.ids
}

// PromptScan reads the prompt of a request to OpenAI's API from its body as that arrives, without decoding it. It is resumable, looks at
// every byte about once, and allocates nothing.
//
// The estimate of tokens is a quarter of the text's bytes, 4 for each message, 765 for each image, sound, video or file, wherever its
// data is, and 1 for each token that is given by its number. Text are the strings in content, text, arguments, output, names and
// the like, instructions, and tools as they stand. Escapes count, and are hashed, as they stand: one client library writes the same
// prompt in the same bytes each time, which is all that keys need.
//
// The keys are those of the text in order, with the ends of strings and messages and their roles. They are the same in every gateway and
// every release. A conversation's next request has the keys that its last one had, and more. Keys are meant for what follows the
// system prompt, as whatever has the same one would otherwise go to one replica; so that has a key apart. The field user is not looked
// at: it says who asks, not what prompts have in common, and many services send the same one always.
//
// It is no validator: it stops at what is no JSON, and keeps what it has. Keys of objects that are written with escapes are not
// recognised, as no client writes them.
//
// The zero value finds nothing; a PromptScan is used after Reset.
type PromptScan struct {
	pos   int // the next byte to look at
	from  int // first byte of the string or scalar that is being read
	fed   int // first byte of it, or of what is skipped, that has not been counted yet
	step  step
	api   promptAPI
	kind  promptKind // of the value that is being read or comes next
	depth int        // open objects and arrays
	// Of the open ones, by depth: whether it is an array, and whether it is media.
	arrays, media uint64
	skipDepth     int // open brackets of what is skipped

	size       promptSize // of all
	systemSize promptSize // of the system's messages that have ended
	sizeBefore promptSize // size as it was before the message that is being read, if that may be the system's

	maxTokens, maxCompletionTokens int64
	stream                         bool

	// Hashes; those of what has not come are 0.
	model, cacheSalt, cacheKey, tools, instructions uint64
	// How much text the last two stand for, in bytes.
	toolsText, instructionsText int64

	aside  textHash // of tools or instructions, while they are read
	system textHash // of the system's messages
	before textHash // system as it was before the message that is being read
	talk   keyChain

	leading   bool // only messages of the system have come
	undecided bool // the message that is being read has not told its role, so it is hashed as either
	inSystem  bool // the message that is being read is the system's, and leads
	roleLen   uint8
	role      [maxRole]byte
}

// Reset makes s ready for the body of a request with that path, whose query is not looked at. It is false where the path is of no API
// that has prompts, and there is nothing to scan. What stands before the API's own name, such as /v1, does not matter.
func (s *PromptScan) Reset(path []byte) bool {
	*s = PromptScan{api: promptAPIOf(path), step: atStart}
	s.leading = s.api == chatAPI || s.api == responsesAPI
	if s.api == noPromptAPI {
		s.step = atEnd
	}
	return s.api != noPromptAPI
}

// Scan looks at body, which is all of the body that has arrived: what earlier calls saw, perhaps at another address, and what has come
// since. It returns whether the end was reached, so that there is nothing more to find.
func (s *PromptScan) Scan(body []byte) (final bool) {
	s.scan(body)
	return s.step == atEnd
}

// Finish is Scan for a body that has arrived to its end.
func (s *PromptScan) Finish(body []byte) {
	s.scan(body)
	s.step = atEnd
}

// Prompt returns what was found so far. It may be called at any time, and again later. length is that of the whole body in bytes, or -1
// where it is not known: what of it has not been scanned counts as text, so that the estimate of a long prompt is good before it has
// arrived.
//
// Where a gateway does not wait for all of a body, every gateway should scan the same number of its first bytes: the next request of
// a conversation then has the same keys, as it begins with the same bytes.
func (s *PromptScan) Prompt(length int64) Prompt {
	p := Prompt{Stream: s.stream, MaxTokens: s.maxTokens, Final: s.step == atEnd}
	if s.maxCompletionTokens > 0 {
		p.MaxTokens = s.maxCompletionTokens
	}
	size := s.size
	if !p.Final {
		size.text += max(length-int64(s.pos), 0)
	}
	p.Tokens = size.tokens()
	if s.api.hasKeys() {
		s.readKeys(&p)
	}
	return p
}

func (s *PromptScan) readKeys(p *Prompt) {
	system := &s.system
	if s.undecided {
		system = &s.before
	}
	seed := combine(s.model, s.cacheSalt)
	if s.cacheKey != 0 {
		p.CacheKey = combine(seed, s.cacheKey)
	}
	if system.length > 0 || s.tools != 0 || s.instructions != 0 {
		seed = combine(combine(seed, system.sum()), combine(s.tools, s.instructions))
		p.System, p.SystemTokens = seed, s.systemTokens()
	}
	if s.undecided {
		return
	}
	p.KeyCount = s.talk.count
	for i := range p.KeyCount {
		p.Keys[i] = combine(seed, s.talk.keys[i])
	}
}

// systemTokens estimates the tokens of what the key of the system stands for.
func (s *PromptScan) systemTokens() int64 {
	size := s.systemSize
	if s.inSystem {
		size.grow(s.sizeBefore, s.size)
	}
	size.text += s.toolsText + s.instructionsText
	return size.tokens()
}
