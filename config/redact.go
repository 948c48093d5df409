package config

import (
	"maps"
	"slices"
	"strings"
)

// redacted stands in for the values that Redacted hides.
const redacted = "REDACTED"

// Redacted is a copy of the configuration to be shown to people: the values of headers that carry credentials, in what routes match
// and set, are replaced. It shares everything else with c, so neither may be changed afterwards.
func (c *Config) Redacted() *Config {
	shown := *c
	shown.Routes = slices.Clone(c.Routes)
	for i := range shown.Routes {
		r := &shown.Routes[i]
		r.Match.Headers = redactHeaders(r.Match.Headers)
		r.RequestHeaders = redactEdit(r.RequestHeaders)
		r.ResponseHeaders = redactEdit(r.ResponseHeaders)
	}
	return &shown
}

func redactEdit(e *HeaderEdit) *HeaderEdit {
	if e == nil {
		return nil
	}
	return &HeaderEdit{Set: redactHeaders(e.Set), Remove: e.Remove}
}

func redactHeaders(headers map[string]string) map[string]string {
	shown := maps.Clone(headers)
	for name := range shown {
		if isCredential(name) {
			shown[name] = redacted
		}
	}
	return shown
}

// isCredential says whether a header's name says that its value is a secret. There is no register of those, so that parts of names
// are looked for: x-api-key, x-goog-iam-authorization-token, x-client-secret.
func isCredential(name string) bool {
	lower := strings.ToLower(name)
	for _, part := range []string{"auth", "cookie", "key", "token", "secret", "password", "credential"} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	return false
}
