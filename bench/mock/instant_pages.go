package mock

import (
	"net/http"
	"strings"
)

// instantPage answers the GET requests of an instant replica.
func (s *Server) instantPage(path string) (status int, contentType string, body []byte) {
	if model, ok := strings.CutPrefix(path, "/v2/models/"); ok {
		if model, ok = strings.CutSuffix(model, "/ready"); ok && s.serves(model) {
			path = "/v2/health/ready"
		}
	}
	switch path {
	case "/health", "/v2/health/ready":
		if !s.Ready() {
			return http.StatusServiceUnavailable, "text/plain", nil
		}
		return http.StatusOK, "text/plain", nil
	case "/v2/health/live":
		return http.StatusOK, "text/plain", nil
	case "/v1/models":
		return http.StatusOK, "application/json", modelList(s.options.Models, maxContextTokens)
	case "/metrics", "/prometheus/metrics":
		return http.StatusOK, expositionType, s.exposition()
	case "/mock/state":
		return http.StatusOK, "application/json", mustJSON(s.State())
	}
	e := &refusal{status: http.StatusNotFound, kind: "invalid_request_error", code: "not_found", message: "There is nothing at GET " + path + " in instant mode."}
	return e.status, "application/json", e.body()
}
