package mock

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/bench/mock/lifecycle"
)

// refusal is an error answer: over HTTP in OpenAI's shape, over gRPC a status (see grpcCode).
type refusal struct {
	status  int
	kind    string // the error's type
	code    string
	param   string
	message string

	retryAfter int // seconds; 0 says nothing
}

// body is the JSON of the refusal.
func (e *refusal) body() []byte {
	var shape struct {
		Error struct {
			Message string  `json:"message"`
			Type    string  `json:"type"`
			Param   *string `json:"param"`
			Code    *string `json:"code"`
		} `json:"error"`
	}
	shape.Error.Message, shape.Error.Type = e.message, e.kind
	if e.param != "" {
		shape.Error.Param = &e.param
	}
	if e.code != "" {
		shape.Error.Code = &e.code
	}
	return mustJSON(shape)
}

// write sends the refusal.
func (e *refusal) write(w http.ResponseWriter) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	writeJSON(w, e.status, e.body())
}

func badRequest(param, format string, args ...any) *refusal {
	return &refusal{
		status: http.StatusBadRequest, kind: "invalid_request_error", param: param, message: fmt.Sprintf(format, args...),
	}
}

// stillLoading refuses what comes before the model is loaded.
func stillLoading() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, kind: "server_error", code: "model_loading", message: lifecycle.LoadingMessage}
}

func unknownModel(name string) *refusal {
	return &refusal{
		status: http.StatusNotFound, kind: "invalid_request_error", param: "model", code: "model_not_found",
		message: fmt.Sprintf("The model `%s` does not exist.", name),
	}
}

func bodyTooLarge(limit int64) *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, kind: "invalid_request_error", code: "body_too_large",
		message: fmt.Sprintf("The request's body is larger than %d bytes.", limit),
	}
}

func tooLong(limit, prompt, output int) *refusal {
	e := badRequest("messages", "This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the prompt, %d in the completion).",
		limit, prompt+output, prompt, output)
	e.code = "context_length_exceeded"
	return e
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

// mustJSON encodes a value of a type that always can be.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: cannot encode an answer: " + err.Error())
	}
	return b
}
