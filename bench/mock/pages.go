package mock

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/bench/mock/rpc"
)

// routes is every path of a replica, and its gRPC services.
func (s *Server) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST /v1/chat/completions", s.calls("/v1/chat/completions", s.chat))
	m.HandleFunc("POST /v1/completions", s.calls("/v1/completions", s.completions))
	m.HandleFunc("POST /v1/responses", s.calls("/v1/responses", s.responses))
	m.HandleFunc("POST /v1/embeddings", s.calls("/v1/embeddings", s.embeddings))
	m.HandleFunc("POST /v2/models/{model}/infer", s.calls("/v2/models/{model}/infer", s.infer))
	m.HandleFunc("POST /tokenize", s.calls("/tokenize", s.tokenize))

	m.HandleFunc("GET /v1/models", s.models)
	m.HandleFunc("GET /health", s.health)
	m.HandleFunc("GET /metrics", s.metrics)
	m.HandleFunc("GET /prometheus/metrics", s.metrics) // where TensorRT-LLM has them
	m.HandleFunc("GET /v2", s.serverMetadata)
	m.HandleFunc("GET /v2/health/live", s.live)
	m.HandleFunc("GET /v2/health/ready", s.health)
	m.HandleFunc("GET /v2/models/{model}", s.modelMetadata)
	m.HandleFunc("GET /v2/models/{model}/ready", s.modelReady)

	m.HandleFunc("GET /mock/state", s.statePage)
	m.HandleFunc("GET /mock/faults", s.faultsPage)
	m.HandleFunc("POST /mock/faults", s.setFaultsPage)
	m.HandleFunc("/", notFound)
	grpc := s.newRPC()

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.enter() {
			panic(http.ErrAbortHandler)
		}
		defer s.work.Done()
		s.sign(w.Header(), r)
		if rpc.Wants(r) {
			grpc.ServeHTTP(w, r)
			return
		}
		m.ServeHTTP(w, r)
	})
}

// sign says in an answer's header who answers, and that the answer is its connection's last where the replica drains.
func (s *Server) sign(h http.Header, r *http.Request) {
	h.Set("x-mock-replica", s.replicaName(r))
	if s.options.Label != "" {
		h.Set("x-mock-label", s.options.Label)
	}
	if s.life.Draining() {
		h.Set("Connection", "close") // which net/http turns into GOAWAY for HTTP/2
	}
}

func notFound(w http.ResponseWriter, r *http.Request) {
	e := &refusal{status: http.StatusNotFound, kind: "invalid_request_error", code: "not_found", message: "There is nothing at " + r.Method + " " + r.URL.Path + "."}
	e.write(w)
}

func (s *Server) serves(model string) bool { return slices.Contains(s.options.Models, model) }

// models answers GET /v1/models.
func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, modelList(s.options.Models, s.contextTokens()))
}

func modelList(models []string, context int) []byte {
	var list []string
	for _, m := range models {
		name := mustJSON(m)
		list = append(list, fmt.Sprintf(`{"id":%s,"object":"model","created":%d,"owned_by":"penstock-mock","root":%s,"parent":null,"max_model_len":%d}`, name, time.Now().Unix(), name, context))
	}
	return []byte(`{"object":"list","data":[` + strings.Join(list, ",") + `]}`)
}

// health answers probes: 200 without a body as vLLM does, or 503.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if !s.Ready() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// Ready says whether health checks succeed.
func (s *Server) Ready() bool { return s.life.Ready() }

// tokenize answers POST /tokenize for a prompt or messages.
func (s *Server) tokenize(c *call) {
	var r struct {
		Model    string        `json:"model"`
		Prompt   *string       `json:"prompt"`
		Messages []chatMessage `json:"messages"`
	}
	if !c.decode(&r) || r.Model != "" && !c.knows(r.Model) {
		return
	}
	var p prompt
	switch {
	case r.Prompt != nil:
		p.text = []byte(*r.Prompt)
		p.pad()
	case len(r.Messages) > 0:
		for _, m := range r.Messages {
			p.addMessage(m.Role, m.Content.text)
		}
		p.addRole("assistant")
	default:
		c.refuse(badRequest("prompt", "prompt or messages must be given."))
		return
	}
	ids := make([]uint32, 0, p.tokens())
	for text := p.text; len(text) > 0; text = text[tokenBytes:] {
		ids = append(ids, uint32(mix(0, text[:tokenBytes])>>32)%vocabulary)
	}
	c.whole(mustJSON(struct {
		Count   int      `json:"count"`
		Context int      `json:"max_model_len"`
		Tokens  []uint32 `json:"tokens"`
	}{len(ids), s.contextTokens(), ids}))
}

// vocabulary is the number of tokens that Llama 3 knows.
const vocabulary = 128256
