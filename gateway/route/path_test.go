package route

import (
	"strings"
	"testing"
)

func TestAppendPath(t *testing.T) {
	ptr := func(s string) *string { return &s }
	tests := []struct {
		path    string
		rewrite *string
		target  string
		want    string
	}{
		{"/v1", nil, "/v1/models?x=%2f", "/v1/models?x=%2f"},
		{"/v1", ptr("/api/v2"), "/v1/models?x=/v1", "/api/v2/models?x=/v1"},
		{"/v1", ptr("/api/v2/"), "/v1/models", "/api/v2/models"},
		{"/v1/", ptr("/api"), "/v1/", "/api/"},
		{"/v1/", ptr("/api"), "/v1", "/api"},
		{"/v1", ptr("/"), "/v1/models", "/models"},
		{"/v1", ptr(""), "/v1/models", "/models"},
		{"/v1", ptr("/"), "/v1", "/"},
		{"/v1", ptr("/"), "/v1?x=1", "/?x=1"},
		{"/v1", ptr("/api"), "/v1?x=1", "/api?x=1"},
		{"/v1", ptr("/api"), "/v10", "/v10"},
		{"", ptr("/openai"), "/v1/models", "/openai/v1/models"},
		{"/", ptr("/openai"), "/", "/openai/"},
		{"/", ptr("/openai"), "*", "*"},
		{"", ptr("/"), "/x%2Fy//z/?q#f", "/x%2Fy//z/?q#f"},
	}
	for _, tt := range tests {
		rt := mustTable(t, Rule{Path: tt.path, RewritePrefix: tt.rewrite, Targets: to("p")}).Routes()[0]
		if got := string(rt.AppendPath([]byte("GET "), []byte(tt.target))); got != "GET "+tt.want {
			t.Errorf("path %q: %q became %q, want %q", tt.path, tt.target, got, "GET "+tt.want)
		}
	}
}

// FuzzPath compares hasDotSegment with its definition, and checks that a rewrite changes nothing but the prefix.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/v1/../x", "/v1/%2e%2E;a/x", `/v1\..\x`, "/v1/a.b", "/v1//", "/v1%2f..%5c", "/.;x", "*", "/%2"} {
		f.Add(path)
	}
	api := "/api"
	rt := mustTable(f, Rule{Path: "/v1", RewritePrefix: &api, Targets: to("p")}).Routes()[0]
	decode := strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", "\\", "/", "%3b", ";", "%3B", ";")
	f.Fuzz(func(t *testing.T, path string) {
		want := false
		for i, segment := range strings.Split(decode.Replace(path), "/") {
			segment, _, _ = strings.Cut(segment, ";")
			want = want || i > 0 && (segment == "." || segment == "..")
		}
		if got := hasDotSegment([]byte(path)); got != want {
			t.Errorf("hasDotSegment(%q) is %v", path, got)
		}
		rest, below := strings.CutPrefix(path, "/v1")
		below = below && (rest == "" || rest[0] == '/' || rest[0] == '?')
		wantPath := path
		if below {
			wantPath = "/api" + rest
		}
		if got := string(rt.AppendPath(nil, []byte(path))); got != wantPath {
			t.Errorf("%q became %q, want %q", path, got, wantPath)
		}
	})
}
