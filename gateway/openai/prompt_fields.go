package openai

import "bytes"

// promptAPI is the API that a request is for, as far as its prompt goes.
type promptAPI uint8

const (
	noPromptAPI promptAPI = iota
	chatAPI
	completionsAPI
	responsesAPI
	embeddingsAPI
)

var promptPaths = [...]struct {
	suffix []byte
	api    promptAPI
}{
	{[]byte("/chat/completions"), chatAPI},
	{[]byte("/completions"), completionsAPI},
	{[]byte("/responses"), responsesAPI},
	{[]byte("/embeddings"), embeddingsAPI},
}

func promptAPIOf(path []byte) promptAPI {
	path, _, _ = bytes.Cut(path, []byte{'?'})
	for i := range promptPaths {
		if p := &promptPaths[i]; bytes.HasSuffix(path, p.suffix) {
			return p.api
		}
	}
	return noPromptAPI
}

// hasKeys reports whether prompts have keys: an embedding leaves nothing behind that another could use.
func (a promptAPI) hasKeys() bool { return a != embeddingsAPI }

// hasMessages reports whether the objects in the prompt's array are messages.
func (a promptAPI) hasMessages() bool { return a == chatAPI || a == responsesAPI }

// promptKind says what a value is to the scan.
type promptKind uint8

const (
	isSkipped promptKind = iota
	isKey                // a key itself
	isText               // part of the prompt: text, or an object or array with text somewhere in it
	isMedia              // an image or the like, or its address
	isRole               // of a message
	// Fields of the top level.
	isModelName
	isCacheSalt
	isCacheKey
	isStream
	isMaxTokens
	isMaxCompletionTokens
	isInstructions // text that is no part of the conversation
	isTools        // likewise, as it stands
)

// topField says what the field of that name is, at the top level of a body.
func (a promptAPI) topField(name []byte) promptKind {
	switch string(name) {
	case "model":
		return isModelName
	case "cache_salt":
		return isCacheSalt
	case "prompt_cache_key":
		return isCacheKey
	case "stream":
		return isStream
	case "max_tokens":
		return isMaxTokens
	case "max_completion_tokens", "max_output_tokens":
		return isMaxCompletionTokens
	case "messages":
		if a == chatAPI || a == embeddingsAPI { // vLLM embeds conversations, too
			return isText
		}
	case "prompt":
		if a == completionsAPI {
			return isText
		}
	case "input":
		if a == responsesAPI || a == embeddingsAPI {
			return isText
		}
	case "instructions":
		if a == responsesAPI {
			return isInstructions
		}
	case "tools":
		if a.hasMessages() {
			return isTools
		}
	}
	return isSkipped
}

// promptKindOf says what the field of that name is, within the prompt at any depth. Ids, types and what controls caches are no text: models
// do not see them, and some change from one request of a conversation to the next.
func promptKindOf(name []byte) promptKind {
	switch string(name) {
	case "role":
		return isRole
	case "content", "text", "refusal", "name", "tool_calls", "function_call", "function", "custom", "arguments", "input", "output",
		"reasoning", "reasoning_content", "summary", "thinking":
		return isText
	case "image_url", "image", "input_audio", "audio", "audio_url", "video", "video_url", "file", "file_data", "file_url":
		return isMedia
	}
	return isSkipped
}

// maxRole is how much of a role is looked at, in bytes; those that exist are shorter.
const maxRole = 16

func isSystemRole(role []byte) bool { return string(role) == "system" || string(role) == "developer" }
